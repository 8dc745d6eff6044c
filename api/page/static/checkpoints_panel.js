// What a job leaves to be fetched: its models, the bundle, the log.

import { isShared } from "./api.js";
import { element, replace } from "./dom.js";
import { bytes, metric } from "./format.js";
import { csvButton } from "./save.js";

/** Show the downloads of a job and its checkpoints in a node. */
export function showCheckpoints(node, job, checkpoints) {
  replace(node, element("div", { class: "card-head" }, element("h2", {}, "Models"), checkpoints.length ? csvButton("the models", () => csv(job, checkpoints)) : null), downloads(job), table(job, checkpoints));
}

/** A link to a job shows which models there are, and fetches none. */
function downloads(job) {
  if (isShared) return null;
  const { urls } = job;
  const links = [];
  if (job.checkpoints.best) {
    links.push(download(urls.model, "Best model", "primary"));
    // Only a script knows how rows become its model's inputs.
    if (!job.spec.program) links.push(download(urls.bundle, "Bundle with predict.py"));
  }
  if (job.progress) links.push(download(urls.log, "Training log (CSV)"));
  return links.length ? element("div", { class: "downloads" }, links) : null;
}

function download(url, words, kind = "") {
  return element("a", { class: `button ${kind}`, href: url, download: true }, words);
}

function table(job, checkpoints) {
  if (!checkpoints.length) return element("p", { class: "muted" }, job.finished_at ? "No checkpoint was saved." : "No checkpoint has been saved yet.");
  const { monitor } = (job.spec.program ? job.progress?.best : job.spec.callbacks.model_checkpoint) ?? {};
  const names = ["Epoch", monitor ?? "", "Size", "File and SHA-256"];
  const head = element("tr", {}, names.map((name, place) => element("th", { class: place < 3 ? "num" : "", scope: "col" }, name)));
  const rows = [...checkpoints].reverse().map((one) => row(one, monitor));
  const frame = { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Checkpoints" };
  return element("div", frame, element("table", {}, element("thead", {}, head), element("tbody", {}, rows)));
}

function csv(job, checkpoints) {
  const metrics = [...new Set(checkpoints.flatMap((one) => Object.keys(one.metrics)))];
  const rows = checkpoints.map((one) => [one.epoch, one.name, one.is_best, one.bytes, one.sha256, ...metrics.map((name) => one.metrics[name])]);
  return { name: `${job.id}-models`, head: ["epoch", "name", "is_best", "bytes", "sha256", ...metrics], rows };
}

function row(one, monitor) {
  const best = one.is_best ? element("span", { class: "chip good" }, "best") : null;
  const name = isShared ? one.name : element("a", { href: one.url, download: one.name }, one.name);
  const hash = element("code", { class: "hash", title: one.sha256 }, one.sha256);
  return element("tr", {}, [
    element("td", { class: "num" }, String(one.epoch)),
    element("td", { class: "num" }, metric(one.metrics[monitor])),
    element("td", { class: "num" }, bytes(one.bytes)),
    element("td", { class: "file" }, element("span", {}, name, best), hash),
  ]);
}
