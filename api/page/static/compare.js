// Up to twenty jobs over one another. The address is the state: which jobs, which metric, which view, which order.

import { get } from "./api.js";
import { Chart } from "./charts.js";
import { penOf } from "./colours.js";
import { showTable } from "./compare_table.js";
import { ComparedJob } from "./compared_job.js";
import { byId, element, replace, setText, svg } from "./dom.js";
import { counted, metric as shown, shortId } from "./format.js";
import { notice } from "./notice.js";
import { betterMode, extremeRow, extremeWord } from "./series.js";
import { keep, keptView } from "./url_view.js";
import { controlsOf } from "./view_controls.js";

const MOST_JOBS = 20;
const BETWEEN_LOOKS_MS = 2000;

const view = keptView();
const controls = controlsOf(view);
let jobs = [];
let pens = new Map();
let chart = null;
let metric = new URLSearchParams(location.search).get("metric");

byId("view-controls").append(controls.node);
byId("metric").addEventListener("change", (event) => choose(event.target.value));

/** Draw everything again, for other jobs or another metric. */
function show() {
  const isEmpty = jobs.length === 0;
  byId("empty").hidden = !isEmpty;
  byId("comparison").hidden = isEmpty;
  pens = penOf(jobs.map((job) => job.id));
  setText(byId("count"), isEmpty ? "" : counted(jobs.length, "job"));
  replace(byId("chips"), jobs.map(chip));
  chart?.remove();
  if (isEmpty) return;
  showMetrics();
  makeChart();
  update();
}

/** The same jobs with what is new in them. */
function update() {
  showTable(byId("table"), jobs, { metric, pens, update });
  view.redraw();
}

function chip(job) {
  const remove = element("button", { type: "button", "aria-label": `Remove ${job.name}`, on: { click: () => takeOff(job) } }, "×");
  return element("li", {}, sample(job), element("a", { href: `/page/jobs/${job.id}` }, labelOf(job)), remove);
}

function sample(job) {
  const { colour, dash } = pens.get(job.id);
  const pen = { stroke: `var(${colour})`, "stroke-width": 3, "stroke-dasharray": dash.join(" ") };
  return svg("svg", { width: 22, height: 8, "aria-hidden": "true" }, svg("path", { d: "M0 4h22", ...pen }));
}

/** A job's name, and the end of its id where another one has the same. */
function labelOf(job) {
  const isAlone = jobs.every((other) => other === job || other.name !== job.name);
  return isAlone ? job.name : `${job.name} ${shortId(job.id)}`;
}

function takeOff(job) {
  jobs = jobs.filter((other) => other !== job);
  keepJobs();
  show();
}

function keepJobs() {
  const query = new URLSearchParams(location.search);
  query.delete("job");
  jobs.forEach((job) => query.append("job", job.id));
  history.replaceState(null, "", `${location.pathname}?${query}`);
}

function showMetrics() {
  const names = [...new Set(jobs.flatMap((job) => [...job.metrics.keys()]))].sort();
  if (!names.includes(metric)) metric = jobs.map((job) => job.monitor).find((name) => names.includes(name)) ?? names[0] ?? "val_loss";
  replace(byId("metric"), names.map((name) => element("option", { value: name, selected: name === metric }, name)));
}

function choose(name) {
  metric = name;
  keep({ metric });
  show();
}

function makeChart() {
  const curves = jobs.map((job) => ({ label: labelOf(job), ...pens.get(job.id) }));
  chart = new Chart(view, { title: metric, curves, height: 380 }, source);
  byId("chart").append(chart.figure);
}

/** All curves on one axis: the places of every job, and for each job a value where it has one. */
function source() {
  const places = [...new Set(jobs.flatMap((job) => job.places(view.axis)))].sort((one, other) => one - other);
  const columns = jobs.map((job) => job.along(places, view.axis, metric));
  const last = places.length;
  queueMicrotask(() => controls.showPoints(chart.points.shown, last, jobs.filter((job) => job.sampled).length));
  return { epochs: places, places, columns, marks: [], place: (epoch) => epoch, caption: caption() };
}

/** The highest or lowest value of all jobs, and the last one of its job. */
function caption() {
  const mode = betterMode(metric);
  const peaks = jobs.map((job) => job.peak(metric));
  const leader = extremeRow(peaks.map((peak) => peak?.value ?? null), mode);
  if (leader < 0) return `${metric}: no job has a value`;
  const { value, epoch } = peaks[leader];
  return `${extremeWord(metric)} ${shown(value)} at epoch ${epoch} of ${labelOf(jobs[leader])}, whose last is ${shown(jobs[leader].last(metric))}`;
}

async function look() {
  const open = jobs.filter((job) => !job.isOver);
  if (open.length && !document.hidden) {
    await Promise.all(open.map((job) => job.readOn())).catch((problem) => notice(problem.message, "warn"));
    const known = byId("metric").childElementCount;
    const names = new Set(jobs.flatMap((job) => [...job.metrics.keys()])).size;
    if (known === names) update();
    else show();
  }
  setTimeout(look, BETWEEN_LOOKS_MS);
}

async function load(id) {
  try {
    const job = new ComparedJob(id, get);
    await job.readOn();
    return job;
  } catch (problem) {
    notice(`${id}: ${problem.message}`, "bad");
    return null;
  }
}

async function run() {
  const asked = [...new Set(new URLSearchParams(location.search).getAll("job"))];
  if (asked.length > MOST_JOBS) notice(`${asked.length} jobs were requested; the first ${MOST_JOBS} are shown.`, "warn");
  jobs = (await Promise.all(asked.slice(0, MOST_JOBS).map(load))).filter(Boolean);
  show();
  look();
}

run();
