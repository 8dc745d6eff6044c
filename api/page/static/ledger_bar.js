// The parts of a job's compute time, as one bar.

import { element, replace } from "./dom.js";
import { counted, duration, money, PARTS, percent } from "./format.js";
import { csvButton } from "./save.js";

const MEANINGS = {
  start_up: "process, data, model",
  learning: "up to the best model",
  patience: "after the best model",
  redone: "trained again, or without heartbeat",
  saving: "between and after the epochs",
};
// What was avoided is often thirty times what was paid; it gets at most this much of the bar.
const MOST_AVOIDED = 0.4;

/** Show the `ledger` of a job in a node. */
export function showLedger(node, { id, ledger }) {
  const parts = PARTS.map((part) => ({ ...part, seconds: ledger.gpu_seconds[part.name] })).filter((part) => part.seconds > 0);
  const { total } = ledger.gpu_seconds;
  const avoided = ledger.avoided.gpu_seconds;
  const share = avoided / Math.max(total + avoided, 1e-9);
  const cut = Math.min(MOST_AVOIDED, share);
  const bar = parts.map((part) => piece(part, (part.seconds / (total || 1)) * (1 - cut)));
  if (avoided > 0) bar.push(avoidedPiece(ledger, cut, share > cut));
  const rows = parts.map((part) => row(part, ledger, total));
  if (avoided > 0) rows.push(avoidedRow(ledger));
  replace(node, head(id, ledger, total), element("div", { class: "ledger-bar", "aria-hidden": "true" }, bar), element("ul", { class: "ledger-parts" }, rows));
}

function head(id, ledger, total) {
  const paid = costsOf(ledger, "total");
  const waited = ledger.waiting_seconds > 0.5 ? `, ${duration(ledger.waiting_seconds)} waiting` : "";
  const note = element("span", { class: "muted small" }, `${duration(total)} of compute time${paid && `, ${paid}`}${waited}`);
  return element("div", { class: "card-head" }, element("h2", {}, "Compute time"), note, csvButton("the compute time", () => table(id, ledger)));
}

function table(id, { gpu_seconds: seconds, costs, avoided }) {
  const parts = [...PARTS.map((part) => [part.name, seconds[part.name]]), ["total", seconds.total], ["avoided", avoided.gpu_seconds]];
  const rows = parts.map(([name, time]) => [name, time, ...costs.map((cost) => cost[name])]);
  return { name: `${id}-compute-time`, head: ["part", "seconds", ...costs.map((cost) => `cost in ${cost.currency}`)], rows };
}

function piece(part, share) {
  const style = { "flex-grow": String(Math.max(share, 0.004)), background: `var(${part.colour})` };
  return element("div", { class: "ledger-piece", style, title: `${part.label}: ${duration(part.seconds)}` });
}

function avoidedPiece(ledger, share, isCut) {
  const words = isCut ? "not to scale" : "";
  const style = { "flex-grow": String(share) };
  return element("div", { class: "ledger-piece avoided", style, title: `Avoided: ${duration(ledger.avoided.gpu_seconds)} ${words}` }, element("span", {}, words));
}

function row(part, ledger, total) {
  const style = { background: `var(${part.colour})` };
  return item(element("i", { class: "swatch", style }), part.label, part.seconds, costsOf(ledger, part.name), [percent(part.seconds / total), MEANINGS[part.name]].join(", "));
}

function avoidedRow(ledger) {
  const { epochs, gpu_seconds: seconds } = ledger.avoided;
  return item(element("i", { class: "swatch avoided" }), "Avoided", seconds, costsOf(ledger, "avoided"), `${counted(epochs, "epoch")} not run`);
}

function item(swatch, label, seconds, cost, note) {
  const name = element("span", { class: "ledger-name" }, swatch, label);
  const value = element("b", {}, duration(seconds));
  return element("li", {}, name, value, cost ? element("span", { class: "ledger-cost" }, cost) : null, element("span", { class: "muted small" }, note));
}

function costsOf(ledger, part) {
  return ledger.costs.map((cost) => money(cost[part], cost.currency)).join(" + ");
}
