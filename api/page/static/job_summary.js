// What a job is and how it stands, in words and figures.

import { get, isShared } from "./api.js";
import { byId, element, replace, setAttribute, setText } from "./dom.js";
import { clock, costs, counted, duration, metric, money, moment, number, percent, reason, status } from "./format.js";
import { dataWords, modelWords } from "./kinds.js";

/** Show all that the job's document says, with the forecast where there is one. */
export function showSummary(job, forecast) {
  setText(byId("name"), job.name);
  document.title = `${job.name} · Fitstop`;
  const { label, tone } = status(job.status);
  setText(byId("status"), label);
  setAttribute(byId("status"), "class", `status ${tone}`);
  // Read aloud: the changes of state alone, not each epoch.
  setText(byId("status-said"), `${job.name}: ${label}`);
  replace(byId("lineage"), lineage(job));
  replace(byId("facts"), [epochFact(job, forecast), bestFact(job), patienceFact(job), costFact(job), endFact(job, forecast), budgetFact(job), attemptsFact(job)]);
  showTrouble(job);
}

/** The sentences of GET /jobs/{id}/explain, but for the error, which has its own place. */
export async function showExplanation({ id, error }) {
  const { sentences } = await get(`/jobs/${id}/explain`);
  setText(byId("explanation"), sentences.filter((one) => !error || !one.endsWith(`(${error.code}).`)).join(" "));
}

function lineage(job) {
  const parts = [];
  if (job.project !== "default") parts.push(`project ${job.project} `);
  if (job.retry_of) parts.push("retry of ", link(job.retry_of));
  if (job.extends) parts.push("extends ", link(job.extends));
  if (job.sweep) parts.push(`trial ${job.sweep.trial} of `, isShared ? "a sweep" : element("a", { href: `/page/sweeps/${job.sweep.id}` }, "a sweep"));
  job.lineage.forEach((one, at) => parts.push(at ? ", from " : `${parts.length ? ", " : ""}fine-tuned from `, link(one.job), ` (epoch ${one.epoch})`));
  const worker = job.worker ? [`on ${job.worker.host}`, job.worker.device].filter(Boolean).join(", ") : "";
  const posted = element("time", { datetime: job.created_at }, `posted ${moment(job.created_at)}`);
  return [`${madeOf(job)} · `, posted, worker ? ` · ${worker}` : "", parts.length ? " · " : "", parts];
}

function madeOf(job) {
  const { program, model, hyperparameters } = job.spec;
  if (program) return `program ${program.id}, ${program.entry}`;
  const devices = hyperparameters.devices > 1 ? ` · on ${hyperparameters.devices} devices` : "";
  return `${modelWords(model)} · ${dataWords(job)}${devices}`;
}

function link(id) {
  return isShared ? element("span", { class: "mono" }, id) : element("a", { href: `/page/jobs/${id}`, class: "mono" }, id);
}

function fact(name, value, note, extra = null) {
  return element("div", { class: "fact" }, element("dt", {}, name), element("dd", {}, value), note || extra ? element("dd", { class: "note" }, note, extra) : null);
}

function epochFact(job, forecast) {
  const { progress } = job;
  if (!progress) return fact("Epoch", "–", job.spec.program ? "set by its script" : `of ${number(job.spec.hyperparameters.epochs)} allowed`);
  const each = `${duration(progress.epoch_seconds)} each`;
  const end = forecast?.stop && !job.finished_at ? `likely to stop at ${forecast.stop.p50}` : `of ${number(progress.epochs)} allowed`;
  return fact("Epoch", number(progress.epoch), `${end}, ${each}`);
}

function bestFact(job) {
  const best = job.progress?.best;
  if (!best) return fact("Best", "–", job.finished_at ? "no epoch finished" : "no epoch yet");
  return fact(`Best ${best.monitor}`, metric(best.value), `at epoch ${best.epoch}`);
}

function patienceFact(job) {
  const own = job.progress?.early_stopping;
  const spec = job.spec.program ? own : job.spec.callbacks.early_stopping;
  if (!spec) return fact("Patience", "off", job.spec.program && !job.progress ? "may be set by its script" : "runs all its epochs");
  const wait = own?.wait ?? 0;
  const left = Math.max(0, spec.patience - wait);
  const note = job.stop ? reason(job.stop.reason) : `${left} left for ${spec.monitor}`;
  return fact("Patience used up", `${wait} of ${spec.patience}`, note, meter(wait, spec.patience));
}

function percentOf(part, whole) {
  return `${Math.min(100, (100 * part) / whole)}%`;
}

function costFact(job) {
  const { ledger } = job;
  if (!ledger) return fact("Paid", "–", "");
  const paid = costs(ledger.costs, "total");
  if (!ledger.gpu_seconds.total) return fact("Paid", "–", job.finished_at ? "no compute time used" : "no compute time used yet");
  const time = duration(ledger.gpu_seconds.total);
  return paid === "–" ? fact("Compute time", time, "no price is set") : fact("Paid", paid, `${time} of compute time`);
}

function endFact(job, forecast) {
  if (job.status === "running") return leftFact(forecast);
  const avoided = job.ledger?.avoided;
  if (!avoided?.epochs) return fact("Avoided", "–", job.stop ? reason(job.stop.reason) : "");
  const saved = costs(job.ledger.costs, "avoided");
  return fact("Avoided", saved === "–" ? duration(avoided.gpu_seconds) : saved, `${counted(avoided.epochs, "epoch")} not run`);
}

/** What of its limits is used; of a job that its budget ended, the evidence. Null where it has no budget. */
function budgetFact(job) {
  if (job.stop?.budget) return usedUp(job.stop.budget);
  const [first, ...others] = limitsOf(job);
  if (!first) return null;
  const more = [first.name, ...others.map(({ name, words }) => `${words} ${name}`)].join("; ");
  return fact("Budget", first.words, more, first.meter);
}

/** How often a worker took it, and how that ended; null where one attempt was all. */
function attemptsFact({ attempts }) {
  if (attempts.total < 2) return null;
  const ends = { lost: attempts.lost, failed: attempts.failed, "handed back": attempts.handed_back };
  const words = Object.entries(ends).filter(([, count]) => count).map(([name, count]) => `${number(count)} ${name}`);
  return fact("Attempts", number(attempts.total), words.join(", "));
}

function limitsOf({ spec: { budget }, ledger }) {
  const limits = [];
  const seconds = ledger?.gpu_seconds.total ?? 0;
  const [paid] = ledger?.costs ?? [];
  const { max_gpu_seconds: most, max_cost: dearest, deadline } = budget ?? {};
  if (most) limits.push({ name: "of compute time", words: `${duration(seconds)} of ${duration(most)}`, meter: meter(seconds, most) });
  if (dearest) limits.push({ name: "paid", words: `${amount(paid?.total ?? 0, paid?.currency)} of ${amount(dearest, paid?.currency)}`, meter: meter(paid?.total ?? 0, dearest) });
  if (deadline) limits.push({ name: "deadline", words: clock(deadline), meter: null });
  return limits;
}

function usedUp({ kind, limit, used, currency }) {
  if (kind === "deadline") return fact("Budget used up", clock(limit), "deadline");
  const shown = kind === "max_cost" ? (one) => amount(one, currency) : duration;
  const name = kind === "max_cost" ? "paid" : "of compute time";
  return fact("Budget used up", `${shown(used)} of ${shown(limit)}`, name, meter(used, limit));
}

function amount(value, currency) {
  return currency ? money(value, currency) : number(value);
}

function meter(part, whole) {
  return element("div", { class: "bar", "aria-hidden": "true" }, element("div", { class: "done warn", style: { width: percentOf(part, whole) } }));
}

function leftFact(forecast) {
  if (!forecast?.seconds_left) return fact("Time left", "–", forecast?.reason ?? "");
  const { p10, p50, p90 } = forecast.seconds_left;
  const better = forecast.chance_of_better === null ? "" : `; chance to improve: ${percent(forecast.chance_of_better)}`;
  const cost = forecast.costs_left.map((one) => money(one.p50, one.currency)).join(" + ");
  const range = `${duration(p10)} to ${duration(p90)}${better}`;
  return fact("Time left", `≈ ${duration(p50)}`, cost ? `${range}; ${cost} more` : range);
}

/** What went wrong, and what it was warned of. */
function showTrouble(job) {
  const lines = [];
  if (job.error) lines.push(element("p", { class: "notice bad" }, element("span", {}, element("b", {}, job.error.code), ` ${job.error.message}`)));
  const failures = job.failures.filter((failure) => failure.is_failure && failure.message && failure.message !== job.error?.message);
  lines.push(...failures.map((one) => element("p", { class: "notice warn" }, `Attempt ${one.attempt} ${one.outcome}: ${one.message}`)));
  lines.push(...job.warnings.map((words) => element("p", { class: "notice warn" }, words)));
  replace(byId("trouble"), lines);
}
