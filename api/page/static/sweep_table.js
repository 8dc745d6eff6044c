// The trials as a table: sorted by any column, fifty rows, and more where somebody asks for them.

import { element, replace, setText } from "./dom.js";
import * as format from "./format.js";
import { wordsOf } from "./sweep_space.js";

const STEP = 50;

/** The table of one sweep. `onHover(number)` hears on which row the pointer is. */
export class TrialTable {
  constructor({ onHover }) {
    this.onHover = onHover;
    this.sorted = null;
    this.shown = STEP;
    this.table = element("table", {});
    this.frame = element("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Trials" }, this.table);
    this.count = element("span", { class: "muted small" });
    this.more = element("button", { type: "button", on: { click: () => this.#showMore() } }, "Show more trials");
    this.node = element("div", {}, this.frame, element("div", { class: "trials-end" }, this.more, this.count));
    this.table.addEventListener("pointerover", (event) => onHover(Number(event.target.closest("tr")?.dataset.number) || null));
    this.table.addEventListener("pointerleave", () => onHover(null));
  }

  /** Show these trials of `sweep`; `names` are the parameters' names by their pointers. */
  show(sweep, trials, names) {
    Object.assign(this, { sweep, trials });
    this.columns = columnsOf(sweep, names);
    this.sorted ??= { name: "value", isRising: sweep.objective.mode === "min" };
    this.#draw();
  }

  #draw() {
    const rows = this.#ordered();
    const focused = document.activeElement?.dataset?.sort;
    replace(this.table, element("thead", {}, element("tr", {}, this.columns.map((column) => this.#head(column)))),
      element("tbody", {}, rows.slice(0, this.shown).map((trial) => this.#row(trial))));
    if (focused) this.table.querySelector(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
    this.more.hidden = rows.length <= this.shown;
    setText(this.count, `${format.number(Math.min(rows.length, this.shown))} of ${format.counted(rows.length, "trial")}`);
  }

  #ordered() {
    const column = this.columns.find((one) => one.name === this.sorted.name) ?? this.columns[0];
    const sign = this.sorted.isRising ? 1 : -1;
    return [...this.trials].sort((one, other) => {
      const [left, right] = [column.read(one), column.read(other)];
      if (isNone(left) || isNone(right)) return isNone(left) - isNone(right);
      const order = typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right));
      return sign * order || one.number - other.number;
    });
  }

  #head(column) {
    const isSorted = column.name === this.sorted.name;
    const order = isSorted ? (this.sorted.isRising ? "ascending" : "descending") : null;
    const arrow = isSorted ? (this.sorted.isRising ? " ↑" : " ↓") : "";
    const button = element("button", { type: "button", class: "quiet small", dataset: { sort: column.name }, on: { click: () => this.#sortBy(column) } }, `${column.label}${arrow}`);
    return element("th", { scope: "col", class: column.isNumber ? "num" : null, "aria-sort": order }, button);
  }

  #sortBy(column) {
    const isRising = this.sorted.name === column.name ? !this.sorted.isRising : true;
    this.sorted = { name: column.name, isRising };
    this.#draw();
  }

  #row(trial) {
    const isBest = trial.number === this.sweep.best?.number;
    const cells = this.columns.map((column) => element("td", { class: column.isNumber ? "num" : null }, column.show(trial)));
    return element("tr", { class: isBest ? "best" : null, dataset: { number: String(trial.number) } }, cells);
  }

  #showMore() {
    this.shown += STEP;
    this.#draw();
  }
}

/** The status of a trial, as base.css shows one. */
export function stateOf(trial) {
  const { label, tone } = trial.reason === "outclassed" ? { label: "Outclassed", tone: "warn" } : format.status(trial.status);
  return element("span", { class: `status ${tone}` }, label);
}

function columnsOf(sweep, names) {
  const number = (name, label, read, write) => ({ name, label, isNumber: true, read, show: (trial) => write(read(trial)) });
  const link = (trial) => element("a", { class: "in-text", href: `/page/jobs/${trial.job}` }, format.shortId(trial.job));
  const parameters = [...names].map(([pointer, label]) => ({ name: pointer, label, isNumber: false, read: (trial) => trial.parameters[pointer], show: (trial) => wordsOf(trial.parameters[pointer]) }));
  const isPriced = sweep.spent.costs.length > 0;
  const costOf = (trial) => trial.costs.reduce((sum, one) => sum + one.amount, 0);
  return [
    number("number", "Trial", (trial) => trial.number, format.number),
    { name: "status", label: "Status", read: (trial) => trial.reason ?? trial.status, show: stateOf },
    number("value", sweep.objective.monitor, (trial) => trial.value, format.metric),
    ...parameters,
    number("epoch", "Epochs", (trial) => trial.epoch, format.number),
    number("time", "Compute time", (trial) => trial.gpu_seconds, format.duration),
    ...(isPriced ? [number("cost", "Cost", costOf, (amount) => format.money(amount, sweep.spent.costs[0].currency))] : []),
    { name: "job", label: "Job", read: (trial) => trial.job, show: link },
  ];
}

function isNone(value) {
  return value === null || value === undefined;
}
