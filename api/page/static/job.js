// One job, live.

import { AnnotationsPanel } from "./annotations_panel.js";
import { get, isShared } from "./api.js";
import { showCheckpoints } from "./checkpoints_panel.js";
import { Curves } from "./curves.js";
import { byId, element, setText } from "./dom.js";
import { showEvaluation } from "./evaluation_panel.js";
import { EventLog } from "./event_log.js";
import { showImages } from "./images_panel.js";
import { showActions } from "./job_actions.js";
import { JobCharts } from "./job_charts.js";
import { showExplanation, showSummary } from "./job_summary.js";
import { showLedger } from "./ledger_bar.js";
import { follow } from "./live.js";
import { notice } from "./notice.js";
import { OutputPanel } from "./output_panel.js";
import { ownRule, PatiencePanel } from "./patience_panel.js";
import { ProgramPanel } from "./program_panel.js";
import { Regularly } from "./regularly.js";
import { csvButton } from "./save.js";
import { betterMode } from "./series.js";
import { SystemPanel } from "./system_panel.js";
import { keptView } from "./url_view.js";
import { controlsOf } from "./view_controls.js";

const PAGE_OF_EVENTS = 1000;
// While epochs end faster than this, what is asked of the service waits.
const BETWEEN_QUESTIONS_MS = 1000;

const jobId = byId("job").dataset.job;
const curves = new Curves();
const log = new EventLog();
const view = keptView();
const controls = controlsOf(view);
const charts = new JobCharts(view, curves, controls);
const panel = new PatiencePanel(byId("patience-panel"), curves, showWhatIf);
const output = new OutputPanel(jobId, complain);
const system = new SystemPanel(jobId, complain);
const annotations = new AnnotationsPanel(byId("annotations"), know);
const program = new ProgramPanel(byId("program"), complain);
const questions = new Regularly(BETWEEN_QUESTIONS_MS, ask);
let job = null;
let forecast = null;
let savedBefore = null;
let isEvaluated = false;

controls.node.append(element("span", { class: "csv small muted" }, "All epochs", csvButton("all epochs", allEpochs)));
byId("view-controls").append(controls.node);

function showWhatIf(stop) {
  charts.whatif = stop;
  charts.update();
}

function take(event) {
  log.add(event);
  if (curves.take(event)) drawSoon();
}

let isDrawing = false;

/** One drawing for all events of a frame. */
function drawSoon() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    panel.show();
    charts.update();
  });
}

function know(document) {
  job = document;
  output.setStatus(job.status);
  system.setStatus(job.status);
  annotations.show(job);
  if (job.status === "succeeded" && !isEvaluated) {
    isEvaluated = true;
    void showEvaluation(byId("evaluation"), jobId).catch(complain);
  }
  if (!isShared) program.setJob(job);
  charts.monitor = monitorOf(job);
  charts.stop = job.stop?.last_epoch || curves.stop?.epoch || null;
  if (job.stop) charts.forecast = null;
  showSummary(job, forecast);
  showActions(job);
  if (job.ledger) showLedger(byId("ledger"), job);
  byId("curves").hidden = Boolean(job.finished_at) && !job.progress && !curves.length;
  byId("ledger").hidden = !(job.ledger?.gpu_seconds.total > 0);
  // The rule of a script is its own, and the page does not know all of it.
  byId("patience-panel").hidden = Boolean(job.spec.program);
  if (!job.spec.program) panel.setJob(ownRule(job.spec, betterMode), job.spec.hyperparameters.epochs, priceOf(job), Boolean(job.stop));
  setText(byId("spec"), JSON.stringify(job.spec, null, 2));
  drawSoon();
  questions.ask();
}

/** The metric whose chart is the great one: what early stopping looks at, else what the checkpoints do. */
function monitorOf({ spec, progress }) {
  if (spec.program) return (progress?.early_stopping ?? progress?.best)?.monitor ?? "val_loss";
  return ownRule(spec, betterMode).monitor;
}

function priceOf({ worker }) {
  return worker?.gpu_price_per_hour ? { perHour: worker.gpu_price_per_hour, currency: worker.currency } : null;
}

/** The table of all epochs with all that is known of each. */
function allEpochs() {
  const { epochs, seconds, rates, names } = curves;
  const columns = names.map((name) => curves.values(name));
  const rows = epochs.map((epoch, row) => [epoch, seconds[row], rates[row], ...columns.map((column) => column[row])]);
  return { name: `${jobId}-epochs`, head: ["epoch", "seconds", "learning_rate", ...names], rows };
}

/** What only the service knows: why, where it will stop, and which models it keeps. */
async function ask() {
  await Promise.all([showExplanation(job), askForecast(), askCheckpoints()]).catch(complain);
}

async function askForecast() {
  forecast = job.status === "running" ? await get(`/jobs/${jobId}/forecast`) : null;
  charts.forecast = forecast?.stop ?? null;
  showSummary(job, forecast);
  drawSoon();
}

async function askCheckpoints() {
  const { count, bytes, best } = job.checkpoints;
  const saved = `${count} ${bytes} ${best} ${job.status}`;
  if (saved === savedBefore) return;
  const { data } = await get(`/jobs/${jobId}/checkpoints`);
  showCheckpoints(byId("checkpoints"), job, data);
  savedBefore = saved;
}

function complain(problem) {
  if (problem.name !== "AbortError") notice(problem.message, "warn");
}

/** The history in pages, then whatever comes behind it: nothing is fetched twice. */
async function run() {
  know(await get(`/jobs/${jobId}`));
  if (!isShared) void showImages(byId("images"), job).catch(complain);
  let after = null;
  let page;
  do {
    page = await get(`/jobs/${jobId}/events?${new URLSearchParams({ limit: PAGE_OF_EVENTS, ...(after && { after }) })}`);
    page.data.forEach(take);
    after = page.next;
  } while (page.has_more);
  follow(jobId, { onEvent: take, onState: know, onProblem: complain, after });
}

run().catch((problem) => {
  if (job) return complain(problem);
  setText(byId("explanation"), problem.message);
  for (const part of byId("job").children) part.hidden = part !== byId("explanation");
});
