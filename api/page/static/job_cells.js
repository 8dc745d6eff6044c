// The cells of a row in the table of jobs. Each shows one job, and changes only what is new.

import { element, replace, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { forgetSight, watchSight } from "./sight.js";
import { Spark } from "./spark.js";

/** A cell of the table; `kind` is its class. */
export function cell(kind, ...children) {
  return element("td", { role: "cell", class: kind }, ...children);
}

/** A value as text: `words(job)`. With `isTicking` it changes by itself. A phone shows the column's label before it. */
export class TextCell {
  constructor(label, kind, words, { isTicking = false, title = null } = {}) {
    this.text = element("span", { class: "cell-text" });
    this.node = cell(kind, this.text);
    this.node.dataset.label = label;
    this.words = words;
    this.isTicking = isTicking;
    this.title = title;
  }

  show(job) {
    const words = this.words(job);
    setText(this.text, words);
    setAttribute(this.text, "title", this.title ? this.title(job) : words);
  }

  tick(job) {
    if (this.isTicking) setText(this.text, this.words(job));
  }
}

export class StatusCell {
  constructor() {
    this.text = element("span", { class: "status" });
    this.node = cell("status-cell", this.text);
  }

  show(job) {
    const { label, tone } = format.status(job.status);
    setText(this.text, job.cancel_requested && job.status === "running" ? "Cancelling" : label);
    setAttribute(this.text, "class", `status ${tone}`);
  }
}

export class NameCell {
  constructor() {
    this.name = element("a", { class: "job-name" });
    this.under = element("span", { class: "job-under muted small" });
    this.tags = element("span", { class: "tags" });
    this.node = cell("job-cell", this.name, this.under, this.tags);
  }

  show(job) {
    const name = job.name ?? job.dataset;
    setAttribute(this.name, "href", `/page/jobs/${job.id}`);
    setText(this.name, name);
    setAttribute(this.name, "title", name);
    setText(this.under, [format.shortId(job.id), job.name === job.dataset ? null : job.dataset].filter(Boolean).join(" · "));
    const tags = JSON.stringify(job.tags);
    if (tags === this.shown) return;
    this.shown = tags;
    replace(this.tags, job.tags.map((tag) => element("span", { class: "tag", title: tag }, tag)));
  }
}

export class ProgressCell {
  constructor() {
    this.words = element("span");
    this.end = element("span", { class: "end" });
    this.bar = new ForecastBar();
    this.node = cell("progress", element("div", { class: "words small" }, this.words, this.end), this.bar.node);
  }

  show(job) {
    const [words, end] = progressWords(job);
    setText(this.words, words);
    setText(this.end, end);
    this.bar.show(job);
  }
}

export class BestCell {
  constructor() {
    this.best = element("span");
    this.under = element("span", { class: "under muted small" });
    this.node = cell("num best", this.best, " ", this.under);
  }

  show(job) {
    setText(this.best, format.metric(job.best?.value));
    setText(this.under, job.best ? `${job.best.monitor} @ ${format.number(job.best.epoch)}` : "");
  }
}

/** The curve, drawn only while somebody can see it. */
export class CurveCell {
  constructor() {
    this.spark = new Spark();
    this.node = cell("curve", this.spark.node);
    watchSight(this.node, (isSeen) => {
      this.isSeen = isSeen;
      if (isSeen && this.job) this.#draw();
    });
  }

  show(job) {
    this.job = job;
    if (this.isSeen) this.#draw();
  }

  forget() {
    forgetSight(this.node);
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

export class PatienceCell {
  constructor() {
    this.done = element("span", { class: "done" });
    this.text = element("span", { class: "small" });
    this.bar = element("div", { class: "bar", "aria-hidden": "true" }, this.done);
    this.node = cell("patience", element("div", { class: "meter" }, this.bar, this.text));
  }

  show(job) {
    const told = job.patience;
    this.bar.hidden = !told;
    setText(this.text, told ? `${told.wait} of ${told.patience}` : "–");
    const width = told ? `${(100 * Math.min(1, told.wait / told.patience)).toFixed(0)}%` : "0%";
    if (this.done.style.width !== width) this.done.style.width = width;
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

/** Where among the points of the spark line the best model's epoch lies. */
function bestPlace(job) {
  if (!job.best || job.epoch < 2) return null;
  return Math.round(((job.best.epoch - 1) / (job.epoch - 1)) * (job.spark.length - 1));
}
