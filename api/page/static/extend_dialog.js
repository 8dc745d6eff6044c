// Extending a finished job: a new job that continues from it, with other limits.

import { send } from "./api.js";
import { BUDGET_LABELS, budgetFields, changedBudget, field, numeric, problemLines } from "./budget_fields.js";
import { asked } from "./dialogs.js";
import { element, replace } from "./dom.js";

const LABELS = {
  "#/from": "Continue from",
  "#/epochs": "Max epochs",
  "#/early_stopping/patience": "Patience",
  ...BUDGET_LABELS,
};

/** Ask how far to continue, and post it; then show the new job. */
export async function extend(job) {
  const { epoch, epochs } = job.progress;
  const own = job.spec.callbacks.early_stopping;
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
    budgetFields(job.spec.budget),
    problems,
    element("div", { class: "dialog-end" }, [
      // No submit button: Enter in a field is the act.
      element("button", { type: "button", on: { click: (event) => event.target.closest("dialog").close("") } }, "Close"),
      element("button", { value: "yes", class: "primary" }, "Extend job"),
    ]),
  ]);
  await asked("Extend this job", element("p", { class: "muted" }, "A new job continues with the same data and model. This job does not change."), form);
}

/** What POST /jobs/{id}/extend takes. */
function body(fields, own) {
  const sent = { epochs: Number(fields.epochs.value), from: fields.from.value };
  if (own) sent.early_stopping = { patience: Number(fields.patience.value) };
  return { ...sent, ...changedBudget(fields) };
}

async function posted(job, sent, problems) {
  try {
    const extended = await send("POST", `/jobs/${job.id}/extend`, sent);
    location.assign(`/page/jobs/${extended.id}`);
  } catch (problem) {
    replace(problems, problemLines(problem, LABELS));
  }
}
