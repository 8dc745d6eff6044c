// The workers, what each does, and what waits and why.

import { get } from "./api.js";
import { byId, element, replace, setText } from "./dom.js";
import * as format from "./format.js";
import { Poll } from "./poll.js";

const STATES = {
  ready: { label: "Ready", tone: "good" },
  busy: { label: "Busy", tone: "accent" },
  starting: { label: "Starting", tone: "muted" },
  paused: { label: "Paused", tone: "warn" },
  draining: { label: "Draining", tone: "warn" },
  unfit: { label: "Unfit", tone: "bad" },
  lost: { label: "Lost", tone: "bad" },
};
const STARTS = { forkserver: "forked from a process that has Keras loaded", spawn: "a fresh process each time" };

function read() {
  return Promise.all([get("/workers"), get("/queue?limit=100"), get("/page/rows?status=running&limit=100")]);
}

function show([workers, queue, running]) {
  showWorkers(workers.data, new Map(running.data.map((job) => [job.id, job])));
  showQueue(queue);
}

function showWorkers(workers, jobs) {
  const there = workers.filter((one) => one.status !== "lost");
  const slots = there.reduce((sum, one) => sum + one.slots, 0);
  const used = there.reduce((sum, one) => sum + one.running.length, 0);
  setText(byId("summary"), workers.length ? `${used} of ${format.counted(slots, "slot")} in use on ${format.counted(there.length, "worker")}` : "");
  // Those that work first, those that were lost last.
  const order = Object.keys(STATES).reverse();
  const sorted = [...workers].sort((one, other) => order.indexOf(other.status) - order.indexOf(one.status));
  const none = element("p", { class: "card muted" }, "No worker has been seen yet. Start one with ", element("code", {}, "python -m worker"), " on a machine that has the volume.");
  replace(byId("workers"), workers.length ? sorted.map((worker) => card(worker, jobs)) : none);
}

function card(worker, jobs) {
  const { label, tone } = STATES[worker.status] ?? { label: worker.status, tone: "muted" };
  const slots = Array.from({ length: worker.slots }, (_, slot) => slotLine(slot, worker.running.find((one) => one.slot === slot), jobs, worker));
  const most = Math.max(worker.slot_devices, worker.most_devices);
  const facts = [
    ["Last seen", worker.last_seen_seconds < 10 ? "now" : `${format.duration(worker.last_seen_seconds)} ago`],
    ["Up since", format.clock(worker.started_at)],
    ...(most > 1 ? [["Devices", `${worker.slot_devices} in each slot; a job may have up to ${most}`]] : []),
    ["A job starts", STARTS[worker.child_start] ?? worker.child_start],
    ["Process", `${worker.pid} on ${worker.host}`],
  ];
  return element("article", { class: "card worker", "aria-label": `Worker on ${worker.host}` },
    element("div", { class: "head" }, element("h2", { title: worker.worker }, worker.host), element("span", { class: `status ${tone}` }, label)),
    element("p", { class: "device small" }, worker.device),
    worker.unfit ? element("p", { class: "small" }, `It takes no job: ${worker.unfit}`) : null,
    worker.idle_gpu
      ? element("p", { class: "small" }, `Its ${worker.idle_gpu} is idle: the CPU build of TensorFlow is installed.`)
      : null,
    worker.paused ? element("p", { class: "small" }, `It is paused: ${worker.paused}`) : null,
    worker.gpu ? gpuBars(worker.gpu) : null,
    worker.status === "lost" ? null : element("ul", { class: "slots" }, slots),
    element("dl", {}, facts.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
}

function slotLine(slot, attempt, jobs, worker) {
  if (!attempt) return element("li", {}, element("span", { class: "muted" }, idleWords(slot, worker)));
  const job = jobs.get(attempt.job);
  const epoch = job ? (job.epoch ? `epoch ${format.number(job.epoch)}` : "starting") : "";
  const where = [attempt.devices > 1 ? `on ${attempt.devices} devices` : "", epoch].filter(Boolean).join(", ");
  return element("li", {},
    element("span", { class: "status accent", "aria-hidden": "true" }),
    element("a", { class: "what", href: `/page/jobs/${attempt.job}` }, job?.name ?? format.shortId(attempt.job)),
    attempt.attempt > 1 ? element("span", { class: "chip" }, `attempt ${attempt.attempt}`) : null,
    element("span", { class: "where muted small" }, where));
}

function idleWords(slot, { status, kept_for: keptFor }) {
  if (keptFor) return `Slot ${slot} is reserved for ${format.shortId(keptFor)}, which needs several slots`;
  // A busy worker has no free slot: jobs of other projects are not listed.
  return status === "busy" ? `Slot ${slot} runs a job of another project` : `Slot ${slot} is free`;
}

function gpuBars(gpu) {
  const line = (name, part, words) => [
    element("span", { class: "muted" }, name),
    element("div", { class: "bar", "aria-hidden": "true" }, element("span", { style: { width: `${(100 * part).toFixed(0)}%` } })),
    element("span", { class: "num" }, words),
  ];
  return element("div", { class: "gpu" },
    line("Use", gpu.used_percent / 100, `${gpu.used_percent} %`),
    line("Memory", gpu.used_bytes / gpu.total_bytes, `${format.bytes(gpu.used_bytes)} of ${format.bytes(gpu.total_bytes)}`));
}

function showQueue(queue) {
  const jobs = queue.data;
  setText(byId("queue-summary"), jobs.length ? `${format.number(jobs.length)}${queue.has_more ? " or more" : ""} waiting, the next one first` : "");
  byId("queue-empty").hidden = jobs.length > 0;
  replace(byId("queue"), jobs.map((job) => element("tr", {},
    element("td", { class: "num" }, format.number(job.position)),
    element("td", {}, element("a", { class: "in-text", href: `/page/jobs/${job.id}` }, job.name ?? format.shortId(job.id)), " ", element("span", { class: "muted small" }, format.shortId(job.id))),
    element("td", { class: "num" }, format.number(job.priority)),
    element("td", { class: "num", title: format.moment(job.created_at) }, format.age(job.created_at)),
    element("td", {}, job.waits.detail))));
}

void new Poll(read, show).look();
