// Going on with a job that is over: a new job from where it was, with other limits.

import { send } from "./api.js";
import { asked } from "./dialogs.js";
import { element, replace } from "./dom.js";

/** Ask how far to go on, and post it; then show the new job. */
export async function extend(job) {
  const { epoch, epochs } = job.progress;
  const own = job.spec.callbacks.early_stopping;
  const problems = element("div", { class: "field-error", role: "alert" });
  const from = element("select", { name: "from" }, [
    element("option", { value: "last" }, `the last epoch (${epoch})`),
    element("option", { value: "best", disabled: !job.progress.best }, `the best epoch (${job.progress.best?.epoch ?? "–"})`),
  ]);
  const post = async (event) => {
    if (event.submitter?.value === "") return;
    event.preventDefault();
    await posted(job, body(event.target.elements, own), problems);
  };
  const form = element("form", { method: "dialog", class: "extend-form", on: { submit: post } }, [
    field("Go on from", from),
    field("Up to epoch", numeric("epochs", Math.max(epochs, epoch + 1), { min: 1, required: true })),
    own ? field("Patience", numeric("patience", own.patience, { min: 1, required: true })) : null,
    field("At most GPU seconds (optional)", numeric("max_gpu_seconds", "", { min: 0, step: "any" })),
    problems,
    element("div", { class: "dialog-end" }, [
      element("button", { value: "", formnovalidate: true }, "No"),
      element("button", { value: "yes", class: "primary" }, "Extend"),
    ]),
  ]);
  await asked("Extend this job", element("p", { class: "muted" }, "A new job goes on with the same data and model; this one stays as it is."), form);
}

function field(words, input) {
  return element("label", {}, words, input);
}

function numeric(name, value, limits) {
  return element("input", { type: "number", name, value, ...limits });
}

/** What POST /jobs/{id}/extend takes. */
function body(fields, own) {
  const sent = { epochs: Number(fields.epochs.value), from: fields.from.value };
  if (own) sent.early_stopping = { patience: Number(fields.patience.value) };
  if (fields.max_gpu_seconds.value) sent.budget = { max_gpu_seconds: Number(fields.max_gpu_seconds.value) };
  return sent;
}

async function posted(job, sent, problems) {
  try {
    const extended = await send("POST", `/jobs/${job.id}/extend`, sent);
    location.assign(`/page/jobs/${extended.id}`);
  } catch (problem) {
    const lines = problem.errors?.length ? problem.errors.map((one) => `${one.pointer} ${one.detail}`) : [problem.message];
    replace(problems, lines.map((line) => element("p", {}, line)));
  }
}
