// The form for a new sweep: the job whose spec is searched, its parameters, and the limits of the search.

import { get, send } from "./api.js";
import { BUDGET_LABELS, budgetFields, changedBudget, field, numeric } from "./budget_fields.js";
import { byId, element, replace, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { parts } from "./json_pointer.js";
import { notice } from "./notice.js";
import { ParameterRow, placesOf, suggestion } from "./sweep_parameter.js";

const MOST_JOBS = 50;
// Offered first where the job has them.
const USUAL = ["/hyperparameters/learning_rate", "/model/dropout"];
const SAMPLERS = [["tpe", "TPE"], ["random", "random"], ["grid", "grid (all choices)"], ["cmaes", "CMA-ES"]];
const RULES = [["forecast", "forecast (chance to win)"], ["asha", "ASHA (successive halving)"], ["median", "median"], ["none", "none"]];

const rows = [];
let job = null;
let places = new Map();

async function begin() {
  const page = await get(`/jobs?limit=${MOST_JOBS}`);
  const asked = new URLSearchParams(location.search).get("job");
  const jobs = page.data.some((one) => one.id === asked) || !asked ? page.data : [await get(`/jobs/${asked}`), ...page.data];
  if (!jobs.length) return setText(byId("of"), "Post a job first: a sweep searches in its spec.");
  const options = jobs.map((one) => element("option", { value: one.id, selected: one.id === asked }, `${one.name} · ${format.shortId(one.id)}`));
  const choice = element("select", { name: "job", on: { change: () => void take(choice.value) } }, options);
  replace(byId("job-fields"), labelled("Job", choice), labelled("Name", element("input", { type: "text", name: "name", autocomplete: "off" })));
  replace(byId("search-fields"),
    labelled("Sampler", chosen("sampler", SAMPLERS)),
    labelled("Rule that stops trials", chosen("rule", RULES)),
    labelled("Max trials", numeric("trials", 20, { min: 1 })),
    labelled("Trials in parallel", numeric("parallel", 1, { min: 1 })),
    labelled("Seed", numeric("seed", 0, { min: 0 })));
  replace(byId("budget-fields"), budgetFields(null).map((one) => element("div", { class: "field" }, one, element("p", { class: "field-error" }))));
  document.body.append(element("datalist", { id: "places" }));
  await take(choice.value);
}

/** Search in the spec of this job. */
async function take(id) {
  job = await get(`/jobs/${id}`);
  places = new Map(placesOf(job.spec));
  replace(byId("places"), [...places.keys()].map((place) => element("option", { value: place })));
  setAttribute(byId("form").elements.name, "placeholder", job.name);
  if (!rows.length) for (const place of USUAL.filter((one) => places.has(one))) add(place);
  if (!rows.length) add("");
  byId("post").disabled = document.body.dataset.scope === "read";
}

function add(place) {
  const [kind, values] = suggestion(places.get(place));
  const row = new ParameterRow({ place, kind, values, onRemove: remove, onPlace: (one) => places.has(one.place.value) && one.suggest(suggestion(places.get(one.place.value))) });
  rows.push(row);
  byId("space").append(row.node);
  return row;
}

function remove(row) {
  rows.splice(rows.indexOf(row), 1);
  row.node.remove();
}

function labelled(words, input) {
  return element("div", { class: "field" }, field(words, input), element("p", { class: "field-error" }));
}

function chosen(name, choices) {
  return element("select", { name }, choices.map(([value, words]) => element("option", { value }, words)));
}

function sweep() {
  const { name, sampler, rule, trials, parallel, seed } = byId("form").elements;
  const space = Object.fromEntries(rows.map((row) => [row.place.value.trim(), row.parameter()]));
  const count = (input) => (input.value.trim() === "" ? null : Number(input.value));
  return {
    ...(name.value.trim() ? { name: name.value.trim() } : {}),
    job: job.spec, space, sampler: sampler.value, rule: { name: rule.value },
    trials: count(trials), parallel: count(parallel), seed: count(seed),
    ...changedBudget(byId("form").elements),
  };
}

async function post(event) {
  event.preventDefault();
  if (byId("post").disabled) return;
  byId("post").disabled = true;
  try {
    const posted = await send("POST", "/sweeps", sweep());
    location.assign(`/page/sweeps/${posted.id}`);
  } catch (problem) {
    show(problem.errors?.length ? problem.errors : [{ pointer: "#", detail: problem.message }]);
    byId("post").disabled = false;
  }
}

/** Each problem at its field; those of no field at the end. */
function show(problems) {
  for (const node of byId("form").querySelectorAll(".field-error")) replace(node);
  const rest = problems.filter((problem) => !isShown(problem));
  replace(byId("problems"), rest.map(({ pointer, detail }) => element("p", {}, BUDGET_LABELS[pointer] ?? pointer, `: ${detail}`)));
  for (const input of byId("form").elements) setAttribute(input, "aria-invalid", null);
  for (const row of rows) row.showProblem(problemsOf(problems, row).map((one) => one.detail).join("; "));
  for (const { pointer, detail } of problems) showAt(inputOf(pointer), detail);
  byId("form").querySelector('[aria-invalid="true"]')?.focus();
}

function isShown({ pointer }) {
  const [first, place] = parts(pointer);
  return first === "space" ? rows.some((row) => row.place.value.trim() === place) : Boolean(inputOf(pointer));
}

function problemsOf(problems, row) {
  return problems.filter(({ pointer }) => {
    const [first, place] = parts(pointer);
    return first === "space" && place === row.place.value.trim();
  });
}

/** The field of a place of the sweep's spec; undefined where the form has none. */
function inputOf(pointer) {
  const [first, second] = parts(pointer);
  const name = first === "budget" ? second : first;
  return ["name", "sampler", "rule", "trials", "parallel", "seed", "max_gpu_seconds", "max_cost", "deadline"].includes(name) ? byId("form").elements[name] : undefined;
}

function showAt(input, detail) {
  if (!input) return;
  setAttribute(input, "aria-invalid", "true");
  setText(input.closest(".field").querySelector(".field-error"), detail);
}

byId("add").addEventListener("click", () => add([...places.keys()].find((place) => place === "/hyperparameters/batch_size" && !rows.some((row) => row.place.value === place)) ?? "").place.focus());
byId("form").addEventListener("submit", (event) => void post(event));
begin().catch((problem) => notice(problem.message, "bad"));
