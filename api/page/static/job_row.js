// One job in the table of jobs. A row is made once; an update changes only the cells whose values have changed.

import { element, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { forgetSight, watchSight } from "./sight.js";
import { Spark } from "./spark.js";

export class JobRow {
  /** `onPick(id, isPicked)` hears of the box before the row. */
  constructor(job, onPick) {
    this.id = job.id;
    this.box = element("input", { type: "checkbox", on: { change: () => onPick(job.id, this.box.checked) } });
    this.pickLabel = element("span", { class: "sr" });
    this.status = element("span", { class: "status" });
    this.name = element("a", { class: "job-name", href: `/page/jobs/${job.id}` });
    this.under = element("span", { class: "job-under muted small" });
    this.words = element("span");
    this.end = element("span", { class: "end" });
    this.bar = new ForecastBar();
    this.best = element("span");
    this.bestUnder = element("span", { class: "under muted small" });
    this.spark = new Spark();
    this.curve = cell("curve", this.spark.node);
    this.meter = new PatienceMeter();
    this.cost = cell("num cost");
    this.age = cell("num age muted");
    this.node = element("tr", { role: "row", dataset: { job: job.id } },
      cell("pick-cell", element("label", { class: "pick" }, this.box, this.pickLabel)),
      cell("status-cell", this.status),
      cell("job-cell", this.name, this.under),
      cell("progress", element("div", { class: "words small" }, this.words, this.end), this.bar.node),
      cell("num best", this.best, " ", this.bestUnder),
      this.curve,
      cell("patience", this.meter.node),
      this.cost,
      this.age,
    );
    this.update(job);
    watchSight(this.curve, (isSeen) => this.#seen(isSeen));
  }

  /** Take the row off the table. */
  remove() {
    forgetSight(this.curve);
    this.node.remove();
  }

  update(job) {
    this.job = job;
    this.showAge();
    // The API's text of the row tells whether anything else is new.
    const text = JSON.stringify(job);
    if (text === this.text) return;
    this.text = text;
    this.showName(job);
    this.showProgress(job);
    this.showBest(job);
    setAttribute(this.node, "class", job.epoch ? null : "unbegun");
    this.meter.show(job);
    setText(this.cost, costWords(job));
    setAttribute(this.cost, "title", `${format.duration(job.gpu_seconds)} of compute time`);
  }

  pick(isPicked) {
    this.box.checked = isPicked;
  }

  showAge() {
    const { created_at: created } = this.job;
    setText(this.age, format.age(created));
    if (!this.age.title) this.age.title = format.moment(created);
  }

  showName(job) {
    const { label, tone } = format.status(job.status);
    setText(this.status, job.cancel_requested && job.status === "running" ? "Cancelling" : label);
    setAttribute(this.status, "class", `status ${tone}`);
    const name = job.name ?? job.dataset;
    setText(this.name, name);
    setAttribute(this.name, "title", name);
    setText(this.pickLabel, `Select ${name} to compare`);
    setText(this.under, [format.shortId(job.id), job.name === job.dataset ? null : job.dataset].filter(Boolean).join(" · "));
  }

  showProgress(job) {
    const [words, end] = progressWords(job);
    setText(this.words, words);
    setText(this.end, end);
    this.bar.show(job);
  }

  showBest(job) {
    setText(this.best, format.metric(job.best?.value));
    setText(this.bestUnder, job.best ? `${job.best.monitor} @ ${format.number(job.best.epoch)}` : "");
    if (this.isSeen) this.#draw();
  }

  #seen(isSeen) {
    this.isSeen = isSeen;
    if (isSeen) this.#draw();
  }

  #draw() {
    const { spark } = this.job;
    const values = spark.length > 1 ? spark : [];
    const drawn = values.join();
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.spark.show(values, bestPlace(this.job));
  }
}

/** What is done against the likely end, never against the epochs that are allowed, which nobody expects to need. */
class ForecastBar {
  constructor() {
    this.range = element("span", { class: "range" });
    this.done = element("span", { class: "done" });
    this.mark = element("span", { class: "mark" });
    this.node = element("div", { class: "bar", "aria-hidden": "true" }, this.range, this.done, this.mark);
  }

  show(job) {
    const stop = job.status === "running" ? job.forecast?.stop : null;
    const scale = likelyEnd(job);
    this.place(this.done, 0, job.epoch / scale);
    this.place(this.range, (stop?.p10 ?? 0) / scale, stop ? stop.p90 / scale : 0);
    this.place(this.mark, (stop?.p50 ?? 0) / scale, null);
    this.mark.hidden = !stop;
    const tone = job.status === "running" || job.status === "queued" ? "" : format.status(job.status).tone;
    setAttribute(this.done, "class", `done ${tone}`);
  }

  place(node, from, to) {
    const left = `${(100 * Math.min(1, from)).toFixed(1)}%`;
    if (node.style.left !== left) node.style.left = left;
    if (to === null) return;
    const width = `${(100 * Math.max(0, Math.min(1, to) - Math.min(1, from))).toFixed(1)}%`;
    if (node.style.width !== width) node.style.width = width;
  }
}

class PatienceMeter {
  constructor() {
    this.done = element("span", { class: "done" });
    this.text = element("span", { class: "small" });
    this.bar = element("div", { class: "bar", "aria-hidden": "true" }, this.done);
    this.node = element("div", { class: "meter" }, this.bar, this.text);
  }

  show(job) {
    const told = job.patience;
    this.bar.hidden = !told;
    setText(this.text, told ? `${told.wait} of ${told.patience}` : "–");
    const width = told ? `${(100 * Math.min(1, told.wait / told.patience)).toFixed(0)}%` : "0%";
    if (this.done.style.width !== width) this.done.style.width = width;
  }
}

function likelyEnd(job) {
  if (job.status !== "running") return Math.max(1, job.epoch);
  const stop = job.forecast?.stop;
  return Math.max(1, job.epoch, stop ? stop.p90 : (job.patience?.stops_at_epoch ?? job.epochs));
}

function progressWords(job) {
  if (job.status === "queued") {
    return [job.queue_position ? `place ${job.queue_position} in the queue` : "in the queue", job.epoch ? `at epoch ${job.epoch}` : ""];
  }
  const epoch = `epoch ${format.number(job.epoch)}`;
  if (job.status === "running") {
    if (job.epoch === 0) return ["starting", ""];
    const stop = job.forecast?.stop;
    return [epoch, stop ? `stops ≈ ${format.number(stop.p50)} (${format.number(stop.p10)}–${format.number(stop.p90)})` : `of ${format.number(job.epochs)} allowed`];
  }
  if (job.error) return [epoch, job.error.replaceAll("_", " ")];
  const { reason = "", epochs_not_run: left } = job.stop ?? {};
  // Only early stopping says that the rest is not needed; a budget or a person cut it off.
  return [epoch, reason === "early_stopping" && left ? `${format.number(left)} not needed` : format.reason(reason)];
}

function costWords(job) {
  if (!job.gpu_seconds) return "–";
  return job.costs.length ? format.costs(job.costs) : format.duration(job.gpu_seconds);
}

/** Where among the points of the spark line the best model's epoch lies. */
function bestPlace(job) {
  if (!job.best || job.epoch < 2) return null;
  return Math.round(((job.best.epoch - 1) / (job.epoch - 1)) * (job.spark.length - 1));
}

function cell(kind, ...children) {
  return element("td", { role: "cell", class: kind }, ...children);
}
