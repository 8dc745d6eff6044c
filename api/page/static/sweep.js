// One sweep, live: what it found, what it cost, and how its parameters matter.

import { get, getChanged } from "./api.js";
import { byId, element, replace, setText } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./notice.js";
import { MOST_LINES, ParallelCoordinates } from "./sweep_parallel.js";
import { Scatter } from "./sweep_scatter.js";
import { numberAxis, parameterAxis, shortNames } from "./sweep_space.js";
import { showActions, showWinner } from "./sweep_actions.js";
import { TrialTable } from "./sweep_table.js";
import { Trials, bestSoFar } from "./sweep_trials.js";

const LOOK_MS = 2000;
const IMPORTANCE_MS = 15_000;
const sweepId = byId("sweep").dataset.sweep;

const trials = new Trials(sweepId);
const pick = (number) => location.assign(`/page/jobs/${trials.byNumber.get(number).job}`);
const parallel = new ParallelCoordinates({ pick, onSelect: showSelection, onHover: hover });
const scatter = new Scatter({ height: 300, label: "Trials over two parameters; the table below has the figures", pick, onHover: hover });
const curve = new Scatter({ height: 240, label: "Best value so far; the table below has the figures", pick, onHover: hover });
const table = new TrialTable({ onHover: hover });

let sweep = null;
let etag = null;
let timer = null;
let names = null;
let axes = [];
let over = "spent";
let importanceAt = -Infinity;
let importanceOf = null;

async function look() {
  clearTimeout(timer);
  try {
    const changed = await getChanged(`/sweeps/${sweepId}`, etag);
    if (changed) {
      await trials.look(changed.body.counts);
      etag = changed.etag;
      sweep = changed.body;
      show();
    }
    await lookAtImportance();
  } catch (problem) {
    notice(problem.message, "bad");
  }
  const isLive = sweep === null || !format.TERMINAL.has(sweep.status);
  if (!document.hidden && isLive) timer = setTimeout(look, LOOK_MS);
}

async function lookAtImportance() {
  const isOver = format.TERMINAL.has(sweep.status);
  const state = `${sweep.counts.succeeded} ${sweep.status}`;
  if (state === importanceOf || (!isOver && performance.now() - importanceAt < IMPORTANCE_MS)) return;
  importanceAt = performance.now();
  showImportance((await get(`/sweeps/${sweepId}/explain`)).importance);
  importanceOf = state;
}

function show() {
  names ??= shortNames(Object.keys(sweep.spec.space));
  document.title = `${sweep.name} · Fitstop`;
  setText(byId("name"), sweep.name);
  const { label, tone } = format.status(sweep.status);
  replace(byId("status"), element("span", { class: `status ${tone}` }, label));
  setText(byId("reason"), reasonWords());
  replace(byId("facts"), facts());
  showActions(sweep, () => void look());
  showWinner(sweep, names);
  showCharts();
}

function reasonWords() {
  if (sweep.reason) return REASONS[sweep.reason] ?? sweep.reason.replaceAll("_", " ");
  if (sweep.cancel_requested_at) return "cancel requested";
  return sweep.waiting ? `the next trial waits: ${sweep.waiting}` : "";
}

const REASONS = {
  completed: "all trials are completed",
  budget: "the budget is used up",
  failed_trials: "too many trials without a result",
  data_changed: "its data has changed",
  cancelled: "",
};

function facts() {
  const { counts, spent, spec, objective } = sweep;
  const ended = counts.total - counts.proposed - counts.queued - counts.running;
  const now = ["running", "queued", "outclassed", "failed", "refused"].filter((name) => counts[name]).map((name) => `${format.number(counts[name])} ${name}`);
  return [
    fact("Trials ended", `${format.number(ended)} of ${format.number(counts.max)}`, now.join(" · ")),
    fact(`Best ${objective.monitor}`, sweep.best ? format.metric(sweep.best.value) : "–", objective.mode === "max" ? "greater is better" : "smaller is better"),
    fact("Compute time", format.duration(spent.gpu_seconds), limitWords(spec.budget, "max_gpu_seconds", format.duration)),
    ...(spent.costs.length ? [fact("Cost", format.costs(spent.costs, "amount"), limitWords(spec.budget, "max_cost", (amount) => format.money(amount, spent.costs[0].currency)))] : []),
    fact("Rule", sweep.rule, `${sweep.sampler}, ${sweep.parallel} in parallel, seed ${spec.seed}`),
  ];
}

function limitWords(budget, name, write) {
  const limit = budget?.[name] ?? null;
  return limit === null ? "" : `of ${write(limit)}`;
}

function fact(name, value, note) {
  return element("div", { class: "fact" }, element("dt", {}, name), element("dd", {}, value), element("dd", { class: "note" }, note || "\u00a0"));
}

function showCharts() {
  const { monitor, mode } = sweep.objective;
  const ranked = trials.ranked(mode);
  const places = new Map(ranked.map((trial, index) => [trial.number, (index + 1) / ranked.length]));
  const value = numberAxis(monitor, (trial) => trial.value, ranked);
  axes = [...[...names].map(([pointer, label]) => parameterAxis(pointer, sweep.spec.space[pointer], label)), value];
  setText(byId("sampled"), ranked.length > MOST_LINES ? `${format.number(MOST_LINES)} of ${format.number(ranked.length)} lines are drawn, the best among them.` : "");
  parallel.show(axes, ranked, (trial) => places.get(trial.number) - 1e-9);
  showScatterChoices();
  showCurve();
  showSelection();
}

function showScatterChoices() {
  for (const [id, usual] of [["scatter-x", 0], ["scatter-y", axes.length - 1]]) {
    const select = byId(id);
    const chosen = select.value || String(usual);
    if (select.options.length !== axes.length) replace(select, axes.map((axis, index) => element("option", { value: String(index) }, axis.label)));
    select.value = chosen;
  }
}

function showSelection() {
  const all = trials.all;
  const isSelected = (trial) => !parallel.hasSelection || parallel.isSelected(trial);
  const chosen = all.filter(isSelected);
  const [x, y] = [axes[byId("scatter-x").value], axes[byId("scatter-y").value]];
  if (x && y) scatter.show({ x, y, trials: all, best: sweep.best?.number, isFaint: (trial) => !isSelected(trial) });
  setText(byId("selected"), parallel.hasSelection ? `${format.number(chosen.length)} of ${format.counted(all.length, "trial")} selected` : "");
  byId("clear").hidden = !parallel.hasSelection;
  table.show(sweep, chosen, names);
}

function showCurve() {
  const { monitor, mode } = sweep.objective;
  const { points, steps } = bestSoFar(trials.all, mode);
  const withValue = points.filter((point) => point.value !== null);
  const currency = sweep.spent.costs[0]?.currency;
  const ways = [
    ["spent", "Compute time", format.duration],
    ...(currency ? [["spentCost", "Cost", (amount) => format.money(amount, currency)]] : []),
    ["ended", "Trials", (count) => format.number(Math.round(count))],
  ];
  const [name, label, write] = ways.find(([one]) => one === over) ?? ways[0];
  const button = ([one, words]) => element("button", { type: "button", "aria-pressed": String(one === name), on: { click: () => chooseOver(one) } }, words);
  replace(byId("curve-by"), ways.map(button));
  const from = { value: null, [name]: 0 };
  const x = numberAxis(label, (point) => point[name], [from, ...points], write);
  const y = numberAxis(monitor, (point) => point.value, withValue);
  curve.show({ x, y, trials: withValue, steps, best: sweep.best?.number, isFaint: (trial) => trial.reason === "outclassed" });
}

function chooseOver(name) {
  over = name;
  showCurve();
}

function showImportance(importance) {
  const none = element("p", { class: "muted" }, "Shown when at least 10 trials have a value and their differences are significant.");
  const line = ({ parameter, importance: share }) => [
    element("span", { class: "name", title: parameter }, names.get(parameter) ?? parameter),
    element("div", { class: "bar", "aria-hidden": "true" }, element("span", { style: { width: `${100 * share}%` } })),
    element("span", { class: "num" }, format.percent(share)),
  ];
  replace(byId("importance"), importance === null ? none : element("div", { class: "importance" }, importance.map(line)));
}

function hover(number) {
  for (const figure of [parallel, scatter, curve]) figure.hover(number);
}

byId("parallel").append(parallel.node);
byId("scatter").append(scatter.node);
byId("curve").append(curve.node);
byId("trials").append(table.node);
byId("clear").addEventListener("click", () => parallel.clear());
for (const id of ["scatter-x", "scatter-y"]) byId(id).addEventListener("change", showSelection);
document.addEventListener("visibilitychange", () => !document.hidden && void look());
void look();
