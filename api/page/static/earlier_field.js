// The job whose best model is trained further.

import { get } from "./api.js";
import { element, replace } from "./dom.js";
import { metric } from "./format.js";

export class EarlierField {
  /** `onChange(job)` hears of the id of another job. */
  constructor(onChange) {
    this.choice = element("select", { id: "model-job", "aria-describedby": "model-job-hint model-error", on: { change: () => onChange(this.choice.value) } });
    this.node = element("div", { class: "field" }, element("label", { for: "model-job" }, "Earlier job"), this.choice,
      element("p", { class: "hint", id: "model-job-hint" }, "Its best model is trained on the new data, with its preprocessing."));
  }

  /** Show the job of the spec among those whose model can be taken; they are asked for when the field is first seen. */
  show(job, isShown) {
    this.node.hidden = !isShown;
    this.job = job ?? "";
    if (!isShown) return;
    if (!this.offered) this.offered = this.offer();
    this.showChoice();
  }

  async offer() {
    const { data } = await get("/jobs?status=succeeded&limit=100");
    const jobs = data.filter((one) => one.checkpoints.best?.endsWith(".keras"));
    replace(this.choice, element("option", { value: "" }, jobs.length ? "choose" : "no job has a model yet"),
      jobs.map((one) => element("option", { value: one.id }, wordsOf(one))));
    this.showChoice();
  }

  showChoice() {
    if (this.job && ![...this.choice.options].some((one) => one.value === this.job)) this.choice.append(element("option", { value: this.job }, this.job));
    this.choice.value = this.job;
  }
}

function wordsOf(job) {
  const best = job.progress?.best;
  return best ? `${job.name} (${best.monitor} ${metric(best.value)}, ${job.id})` : `${job.name} (${job.id})`;
}
