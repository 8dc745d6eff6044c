// Extending a finished job: a new job that continues from it, with other limits.

import { send } from "./api.js";
import { asked } from "./dialogs.js";
import { element, replace } from "./dom.js";

const AMOUNT = { min: 0, step: "any" };
// The new job has a budget of its own; a field begins with the limit that the old one had.
const BUDGET = [
  { name: "max_gpu_seconds", label: "Max compute time in seconds (optional)", made: (name, limit) => numeric(name, limit, AMOUNT), read: Number },
  { name: "max_cost", label: "Max cost (optional)", made: (name, limit) => numeric(name, limit, AMOUNT), read: Number },
  { name: "deadline", label: "Deadline (optional)", made: moment, read: (text) => new Date(text).toISOString() },
];

const LABELS = {
  "#/from": "Continue from",
  "#/epochs": "Max epochs",
  "#/early_stopping/patience": "Patience",
  "#/budget/max_gpu_seconds": "Max compute time",
  "#/budget/max_cost": "Max cost",
  "#/budget/deadline": "Deadline",
};

/** Ask how far to continue, and post it; then show the new job. */
export async function extend(job) {
  const { epoch, epochs } = job.progress;
  const own = job.spec.callbacks.early_stopping;
  const limits = job.spec.budget ?? {};
  const problems = element("div", { class: "field-error", role: "alert" });
  const from = element("select", { name: "from" }, [
    element("option", { value: "last" }, `the last epoch (${epoch})`),
    element("option", { value: "best", disabled: !job.progress.best }, `the best model (epoch ${job.progress.best?.epoch ?? "–"})`),
  ]);
  // After an early stop the same patience would stop the new job at once.
  const patience = own && (job.stop?.reason === "early_stopping" ? 2 * own.patience : own.patience);
  const post = async (event) => {
    event.preventDefault();
    await posted(job, body(event.target.elements, own), problems);
  };
  const form = element("form", { method: "dialog", class: "extend-form", on: { submit: post } }, [
    field("Continue from", from),
    field("Max epochs", numeric("epochs", Math.max(epochs, epoch + 1), { min: 1, required: true })),
    own ? field("Patience", numeric("patience", patience, { min: 1, required: true })) : null,
    BUDGET.map(({ name, label, made }) => field(label, made(name, limits[name] ?? ""))),
    problems,
    element("div", { class: "dialog-end" }, [
      // No submit button: Enter in a field is the act.
      element("button", { type: "button", on: { click: (event) => event.target.closest("dialog").close("") } }, "Close"),
      element("button", { value: "yes", class: "primary" }, "Extend job"),
    ]),
  ]);
  await asked("Extend this job", element("p", { class: "muted" }, "A new job continues with the same data and model. This job does not change."), form);
}

function field(words, input) {
  return element("label", {}, words, input);
}

function numeric(name, value, bounds) {
  return element("input", { type: "number", name, value, ...bounds });
}

/** A date and time of day, to the minute, as they are here. */
function moment(name, limit) {
  const here = limit && new Date(Date.parse(limit) - new Date(limit).getTimezoneOffset() * 60_000);
  return element("input", { type: "datetime-local", name, value: here && here.toISOString().slice(0, 16) });
}

/** What POST /jobs/{id}/extend takes. */
function body(fields, own) {
  const sent = { epochs: Number(fields.epochs.value), from: fields.from.value };
  if (own) sent.early_stopping = { patience: Number(fields.patience.value) };
  const budget = BUDGET.filter(({ name }) => fields[name].value !== fields[name].defaultValue).map(({ name, read }) => [name, fields[name].value ? read(fields[name].value) : null]);
  if (budget.length) sent.budget = Object.fromEntries(budget);
  return sent;
}

async function posted(job, sent, problems) {
  try {
    const extended = await send("POST", `/jobs/${job.id}/extend`, sent);
    location.assign(`/page/jobs/${extended.id}`);
  } catch (problem) {
    const lines = problem.errors?.length ? problem.errors.map((one) => `${LABELS[one.pointer] ?? one.pointer}: ${one.detail}`) : [problem.message];
    replace(problems, lines.map((line) => element("p", {}, line)));
  }
}
