// A new job: one spec, shown as a form and as JSON, checked by the API as it changes.

import { get, send } from "./api.js";
import { DataPanel } from "./data_panel.js";
import { byId, element, replace, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { valueAt, withValue } from "./json_pointer.js";
import { kindsOf, modelWords, MODELS, shapeWords, usualModel } from "./kinds.js";
import { ModelField } from "./model_field.js";
import { argumentFields, asLabel, nameAt, NameField } from "./named_field.js";
import { notice } from "./notice.js";
import { PartSwitch } from "./part_switch.js";
import { ProgramForm } from "./program_form.js";
import { Field } from "./spec_field.js";
import { groupsOf } from "./spec_form.js";
import { fieldsAt, schemaAt } from "./spec_schema.js";
import { TargetField } from "./target_field.js";

const CHECK_MS = 350;

let schema = null;
let spec = {};
// Which fields the form has now.
let kinds = {};
// What is known of the spec's dataset.
let known = null;
let checking = null;
let timer = null;
// One for each spec, so that posting again after a lost answer makes no second job.
let key = { text: null, value: null };
let fields = [];
// What the API makes of the spec, as far as it was asked.
let effective = {};
let switches = [];
const target = new TargetField(changed);
const model = new ModelField((value) => changed("model", value), () => schemaAt(schema, "model/name", { model: "application" }).enum[0]);
const data = new DataPanel(() => refuse("reading the dataset …"), (dataset, id) => {
  const before = known;
  known = dataset;
  target.offer(dataset?.kind === "table" ? dataset : null);
  if (id !== valueAt(spec, "#/dataset/id")) chosen(id, before);
  else take(spec);
});
const program = new ProgramForm(byId("program-card"), (value) => fill({ ...spec, program: value }));
const metadata = element("input", { id: "metadata", type: "text", autocomplete: "off", placeholder: "team=cellar, run=3", "aria-describedby": "metadata-hint metadata-error", on: { input: () => changed("metadata", asMetadata(metadata.value)) } });
const metadataError = element("p", { class: "field-error", id: "metadata-error" });

/** A place of the spec has changed in the form. */
function changed(place, value) {
  fill(withValue(spec, place, value));
}

function fill(next) {
  take(next);
  setText(byId("json-error"), "");
  byId("json").value = JSON.stringify(spec, null, 2);
}

/** Another dataset was chosen: what its kind does not have is taken out of the spec. */
function chosen(id, before) {
  if (!known) return changed("dataset/id", id);
  const taken = Object.entries(spec.dataset ?? {}).filter(([name]) => name !== "kind" && schemaAt(schema, `dataset/${name}`, { dataset: known.kind }));
  const modelBefore = spec.model?.kind ?? usualModel(before);
  const isSameModel = spec.model?.kind ? MODELS[known.kind].includes(modelBefore) : modelBefore === usualModel(known);
  fill(withValue({ ...spec, dataset: { ...Object.fromEntries(taken), id } }, "model", isSameModel ? spec.model : undefined));
}

function take(next) {
  spec = next;
  show();
  stopChecking("checking …");
  timer = setTimeout(() => void check(), CHECK_MS);
}

/** What the API said, or is about to say, is of another spec. */
function stopChecking(words) {
  clearTimeout(timer);
  checking = null;
  setText(byId("check-state"), words);
  setAttribute(byId("check-state"), "class", "small muted");
}

/** The same where the form shows something else than the spec: that cannot be posted. */
function refuse(words) {
  stopChecking(words);
  byId("post").disabled = true;
}

function show() {
  showBranch();
  showKinds();
  for (const field of fields) field.show(spec);
  for (const one of switches) one.show(spec);
  target.show(spec);
  model.show(spec, kinds);
  data.showTarget(valueAt(spec, "#/dataset/target"));
  if (document.activeElement !== metadata) metadata.value = Object.entries(spec.metadata ?? {}).map((pair) => pair.join("=")).join(", ");
}

/** A job trains on data, or runs a program, which has few fields of its own. */
function showBranch() {
  const isProgram = Boolean(spec.program);
  program.show(spec.program);
  for (const id of ["data-card", "fields"]) byId(id).hidden = isProgram;
  setAttribute(byId("on-data"), "aria-pressed", String(!isProgram));
  setAttribute(byId("on-program"), "aria-pressed", String(isProgram));
}

/** Go to the other branch with what both have. */
async function branch(isProgram) {
  if (isProgram === Boolean(spec.program)) return;
  const first = isProgram ? await program.list() : null;
  const { name, priority, budget, metadata: own } = spec;
  const kept = JSON.parse(JSON.stringify({ name, priority, budget, metadata: own }));
  fill(isProgram ? { program: { id: first }, ...kept } : kept);
}

/** Whether nothing was chosen yet: everybody begins so. */
function isUndecided() {
  return !(spec.program ? spec.program.id : valueAt(spec, "#/dataset/id"));
}

/** The fields of the spec's kinds; what somebody is at keeps the focus. */
function showKinds() {
  const own = kindsOf(spec, known?.id === valueAt(spec, "#/dataset/id") ? known : null);
  const next = { ...own, optimizer: nameAt(spec, "hyperparameters/optimizer", schema), loss: nameAt(spec, "hyperparameters/loss", schema) };
  if (JSON.stringify(next) === JSON.stringify(kinds)) return;
  const opened = new Set([...document.querySelectorAll("#fields details[open]")].map((one) => one.id));
  kinds = next;
  [fields, switches] = [[], []];
  const focused = document.activeElement?.id;
  replace(byId("fields"), groupsOf(kinds).map(section));
  for (const field of fields) field.showDefault(effective);
  for (const id of opened) byId(id)?.setAttribute("open", "");
  if (focused) byId(focused)?.focus();
}

function readJson() {
  const text = byId("json").value;
  try {
    const next = JSON.parse(text);
    if (next === null || typeof next !== "object" || Array.isArray(next)) throw new SyntaxError("a spec is an object: { … }");
    setText(byId("json-error"), "");
    take(next);
    void data.show(valueAt(next, "#/dataset/id"));
  } catch (error) {
    refuse("not checked");
    setText(byId("json-error"), error.message);
  }
}

async function check() {
  const checked = spec;
  checking = checked;
  if (isUndecided()) return showBad({ message: "no data is chosen" });
  const wrong = document.activeElement === byId("json") ? null : metadataProblem();
  if (wrong) return showBad({ errors: [{ pointer: "#/metadata", detail: wrong }] });
  try {
    const told = await send("POST", "/jobs?dry_run=true", checked);
    if (checking === checked) showGood(told);
  } catch (problem) {
    if (checking === checked) showBad(problem);
  }
}

function showGood(told) {
  byId("post").disabled = document.body.dataset.scope === "read";
  setText(byId("check-state"), "ready to post");
  setAttribute(byId("check-state"), "class", "small good");
  showProblems([]);
  effective = told.spec;
  for (const field of fields) field.showDefault(effective);
  const facts = factsOf(told);
  const list = element("dl", { class: "model-facts small" }, facts.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const warnings = told.warnings.map((text) => element("li", { class: "warn small" }, text));
  replace(byId("check"), list, warnings.length ? element("ul", { class: "check-list", "aria-label": "Warnings" }, warnings) : null);
  setText(byId("effective"), JSON.stringify(told.spec, null, 2));
}

function factsOf({ task, spec: whole }) {
  if (whole.program) return programFacts(whole.program);
  const predicted = { binary: "two classes", multiclass: `${task.classes?.length ?? "many"} classes`, regression: "a quantity" };
  const { callbacks: { early_stopping: stopping }, hyperparameters: { loss, epochs } } = whole;
  return [
    ["Predicts", predicted[task.kind]],
    ["Model", modelWords(whole.model)],
    ["Inputs", inputsOf(whole.dataset, task)],
    ["Parameters", task.parameters === null ? "counted when it is built" : format.number(task.parameters)],
    ["Loss", (loss.name ?? loss).replaceAll("_", " ")],
    ["Stops", stopping ? `after ${format.counted(stopping.patience, "epoch")} without a better ${stopping.monitor}` : `at epoch ${format.number(epochs)}`],
  ];
}

function programFacts({ entry, arguments: given, version, datasets }) {
  return [
    ["Runs", [entry, ...given].join(" ")],
    ["Version", version.slice(0, 12)],
    ["Datasets", datasets.join(", ") || "none"],
  ];
}

/** The numbers in one row of the model's inputs. */
function inputsOf({ size, channels }, { features }) {
  return size ? `images of ${shapeWords([...size, channels])}` : format.counted(features, "number");
}

function showBad(problem) {
  byId("post").disabled = true;
  const errors = problem.errors?.length ? problem.errors : [{ pointer: problem.code === "unknown_dataset" ? "#/dataset/id" : "#", detail: problem.message }];
  const isEmpty = isUndecided();
  setText(byId("check-state"), isEmpty ? spec.program ? "choose a program" : "choose data first" : format.counted(errors.length, "problem"));
  setAttribute(byId("check-state"), "class", isEmpty ? "small muted" : "small bad");
  showProblems(isEmpty ? [] : errors);
  replace(byId("check"), isEmpty ? null : element("ul", { class: "check-list", "aria-label": "Problems" },
    errors.map((one) => element("li", { class: "bad small" }, element("b", {}, labelOf(one.pointer)), `: ${one.detail}`))));
}

/** What the form calls a place of the spec; the place itself where it is no field. */
function labelOf(pointer) {
  const own = { "#/dataset/id": "Dataset", "#/dataset/target": "Target", "#/dataset/positive": "Positive class", "#/model/kind": "Model", "#/model/config": "Model", "#/model/job": "Earlier job", "#/metadata": "Metadata", "#/program/id": "Program", "#/program/entry": "Script", "#/program/arguments": "Arguments" };
  const place = (known) => pointer === known || pointer.startsWith(`${known}/`);
  const known = Object.keys(own).find(place);
  return known ? own[known] : (fieldOf(pointer)?.label ?? pointer);
}

/** The field of a place, or of the narrowest place that it lies in. */
function fieldOf(pointer) {
  const around = fields.filter((field) => pointer === field.pointer || pointer.startsWith(`${field.pointer}/`));
  return around.sort((one, other) => other.pointer.length - one.pointer.length)[0];
}

/** Each problem beside the field of its place, or of the place that it lies in. */
function showProblems(errors) {
  const at = (pointer) => errors.filter((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`)).map((one) => one.detail).join("; ");
  for (const field of fields) field.showProblem(errors.filter((one) => fieldOf(one.pointer) === field).map((one) => one.detail).join("; "));
  target.showProblem(at("#/dataset/target"), at("#/dataset/positive"));
  model.showProblem([at("#/model/kind"), at("#/model/config"), at("#/model/job")].filter(Boolean).join("; "));
  data.showProblem(at("#/dataset/id"));
  setText(metadataError, at("#/metadata"));
}

async function post(event) {
  event.preventDefault();
  if (byId("post").disabled) return;
  byId("post").disabled = true;
  const text = JSON.stringify(spec);
  if (key.text !== text) key = { text, value: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}` };
  try {
    const job = await send("POST", "/jobs", spec, { "Idempotency-Key": key.value });
    location.assign(`/page/jobs/${job.id}`);
  } catch (problem) {
    notice(problem.message, "bad");
    showBad(problem);
    byId("post").disabled = problem.status !== 0 && problem.status < 500;
  }
}

function asMetadata(text) {
  const pairs = pairsOf(text);
  return pairs.length ? Object.fromEntries(pairs) : undefined;
}

/** Names and values; a name without a value has null. */
function pairsOf(text) {
  const parts = text.split(",").map((one) => one.trim()).filter(Boolean);
  return parts.map((one) => one.split("=")).map(([name, ...rest]) => [name.trim(), rest.length ? rest.join("=").trim() : null]);
}

/** What is wrong with the metadata as it is typed; the API never sees it. */
function metadataProblem() {
  const [name] = pairsOf(metadata.value).find(([, value]) => value === null) ?? [];
  return name === undefined ? null : `"${name}" has no value: write ${name}=VALUE`;
}

function section(group) {
  const change = group.switch ? (place, value) => fill(keepPart(withValue(spec, place, value), group.switch)) : changed;
  const own = placesOf(group).map(([place, label]) => new Field(place, label, schemaAt(schema, place, kinds), change));
  if (group.named) own.unshift(new NameField(...group.named, schema, changed, () => spec));
  if (!own.length && !group.extra) return null;
  // Several callbacks have a monitor and a patience.
  if (group.switch) own.forEach((field) => (field.label = `${group.title}, ${field.label}`));
  fields.push(...own);
  const extra = { target: target.node, model: model.node, metadata: metadataNode() }[group.extra] ?? null;
  const body = element("div", { class: "fields" }, extra, own.map((field) => field.node));
  const head = element("div", { class: "card-head" }, group.switch ? switchOf(group, body) : element("h2", {}, group.title));
  return element("section", { class: "card", "aria-label": group.title }, head, body, group.named ? argumentsNode(group) : null);
}

/** The group's places with their labels: those of the form, and the other fields of the schema. */
function placesOf(group) {
  const named = new Set(group.places.map(([place]) => place));
  const others = (group.all ? fieldsAt(schema, group.all, kinds) : []).map((name) => [`${group.all}/${name}`, asLabel(name)]);
  return [...group.places, ...others.filter(([place]) => !named.has(place))].filter(([place]) => schemaAt(schema, place, kinds));
}

/** A part without a default stays in the spec while it is on, though all of its fields are left out. */
function keepPart(next, place) {
  const isKept = schemaAt(schema, place).default === null && valueAt(next, place) === undefined;
  return isKept ? withValue(next, place, {}) : next;
}

function argumentsNode({ named: [place, label] }) {
  const own = argumentFields(place, schema, changed, () => spec);
  if (!own.length) return null;
  fields.push(...own);
  const isOpen = own.some((field) => (valueAt(spec, field.pointer) ?? null) !== null);
  const body = element("div", { class: "fields" }, own.map((field) => field.node));
  return element("details", { class: "arguments", id: `arguments-${label}`, open: isOpen }, element("summary", {}, `${label} arguments`), body);
}

function switchOf(group, body) {
  const part = new PartSwitch(group, body, schemaAt(schema, group.switch).default === null, (change) => fill(change(spec)));
  switches.push(part);
  return element("h2", {}, part.node);
}

function metadataNode() {
  return element("div", { class: "field whole" }, element("label", { for: "metadata" }, "Metadata"), metadata,
    element("p", { class: "hint", id: "metadata-hint" }, "Names and values to find the job by."), metadataError);
}

async function begin() {
  const like = new URLSearchParams(location.search).get("like");
  const [found, before] = await Promise.all([get("/schema/job.json"), like ? get(`/jobs/${encodeURIComponent(like)}`) : null]);
  schema = found;
  if (before) setText(byId("like"), `with the spec of ${before.name ?? before.id}`);
  if (document.body.dataset.scope === "read") notice("This key is read-only: it cannot post a job.", "warn");
  take(before ? before.spec : spec);
  byId("json").value = JSON.stringify(spec, null, 2);
  await Promise.all([program.list(), data.list().then(showDataset)]);
  program.show(spec.program);
}

/** Show the dataset of the spec that the form begins with; without one, somebody may have chosen or uploaded one. */
async function showDataset() {
  const id = valueAt(spec, "#/dataset/id");
  if (id) await data.show(id);
}

for (const [id, isProgram] of [["on-data", false], ["on-program", true]]) {
  byId(id).addEventListener("click", () => void branch(isProgram).catch((problem) => notice(problem.message, "bad")));
}
byId("json").addEventListener("input", readJson);
byId("form").addEventListener("submit", post);
// Posting costs money: only its button posts. Enter in a field would press it.
byId("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
});
begin().catch((problem) => notice(problem.message, "bad"));
