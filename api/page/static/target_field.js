// What is to be predicted: the target's column, and which of its values count as positive.

import { element, replace, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { valueAt } from "./json_pointer.js";

const RULES = [
  ["", "default: by the column"],
  ["at_least", "positive: at least"],
  ["at_most", "positive: at most"],
  ["equals", "positive: equals"],
  ["one_of", "positive: one of"],
];
const MOST_SHOWN = 24;

export class TargetField {
  constructor(onChange) {
    this.onChange = onChange;
    this.dataset = null;
    this.target = element("select", { id: "target", "aria-describedby": "target-error", on: { change: () => onChange("dataset/target", this.target.value || undefined) } });
    this.rule = element("select", { id: "rule", "aria-label": "Which values are positive", on: { change: () => this.changed() } }, RULES.map(([value, label]) => element("option", { value }, label)));
    this.value = element("input", { id: "positive", type: "text", "aria-label": "Positive value", autocomplete: "off", on: { input: () => this.changed() } });
    this.targetError = element("p", { class: "field-error", id: "target-error" });
    this.positiveError = element("p", { class: "field-error", id: "positive-error" });
    this.classes = element("div", { class: "classes" });
    this.node = [
      element("div", { class: "field" }, element("label", { for: "target" }, "Target"), this.target, this.targetError),
      element("div", { class: "field" }, element("label", { for: "rule" }, "Classes"), element("div", { class: "pair" }, this.rule, this.value), this.positiveError),
      element("div", { class: "field whole" }, this.classes),
    ];
  }

  changed() {
    const rule = this.rule.value;
    if (!rule) return this.onChange("dataset/positive", undefined);
    const text = this.value.value.trim();
    const value = rule === "one_of" ? text.split(",").map((one) => this.scalar(one.trim())) : this.scalar(text);
    this.onChange("dataset/positive", { [rule]: value });
  }

  /** A value of the target's own kind. */
  scalar(text) {
    const kind = this.column()?.kind;
    if (kind === "boolean" && (text === "true" || text === "false")) return text === "true";
    if (kind === "text" && !["at_least", "at_most"].includes(this.rule.value)) return text;
    return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
  }

  column() {
    return this.dataset?.columns.find((one) => one.name === this.target.value);
  }

  /** Offer the columns of a dataset, null for none. */
  offer(dataset) {
    this.dataset = dataset;
    const names = dataset ? dataset.columns.map((one) => one.name) : [];
    replace(this.target, element("option", { value: "" }, dataset ? "choose a column" : "choose data first"), names.map((name) => element("option", { value: name }, name)));
  }

  show(spec) {
    const wanted = valueAt(spec, "#/dataset/target");
    const isOffered = [...this.target.options].some((one) => one.value === wanted);
    if (wanted && !isOffered) this.target.append(element("option", { value: wanted }, wanted));
    this.target.value = wanted ?? "";
    const positive = valueAt(spec, "#/dataset/positive");
    const [rule, value] = positive && typeof positive === "object" ? (Object.entries(positive)[0] ?? ["", ""]) : ["", ""];
    this.rule.value = rule;
    this.value.hidden = !rule;
    if (document.activeElement !== this.value) this.value.value = Array.isArray(value) ? value.join(", ") : String(value ?? "");
    this.showClasses(positive);
  }

  showProblem(target, positive) {
    setText(this.targetError, target);
    setText(this.positiveError, positive);
    setAttribute(this.target, "aria-invalid", target ? "true" : null);
    setAttribute(this.value, "aria-invalid", positive ? "true" : null);
  }

  /** How many rows have each value of the target; those that count as positive in another colour, and in words. */
  showClasses(positive) {
    const values = this.column()?.values ?? [];
    if (!values.length || values.length > MOST_SHOWN) {
      const column = this.column();
      return void replace(this.classes, column ? element("p", { class: "muted small" }, spread(column)) : null);
    }
    const most = Math.max(...values.map((one) => one.rows));
    const all = values.reduce((sum, one) => sum + one.rows, 0);
    replace(this.classes, values.map((one) => {
      const isPositive = isPositiveValue(one.value, positive);
      return element("div", { class: `class-row ${isPositive ? "positive" : ""}` },
        element("span", { class: "name num" }, String(one.value), isPositive ? " +" : ""),
        element("span", { class: "fill", style: { width: `${(100 * one.rows) / most}%` } }),
        element("span", { class: "num muted" }, `${format.number(one.rows)} · ${format.percent(one.rows / all)}`));
    }));
  }
}

function spread(column) {
  const range = column.minimum === null ? "" : `, from ${format.number(column.minimum)} to ${format.number(column.maximum)}, mean ${format.number(column.mean)}`;
  return `${format.counted(column.distinct, "value")}${range}`;
}

function isPositiveValue(value, positive) {
  if (!positive || typeof positive !== "object") return false;
  if ("equals" in positive) return value === positive.equals;
  if ("one_of" in positive) return Array.isArray(positive.one_of) && positive.one_of.includes(value);
  if (typeof value !== "number") return false;
  return "at_least" in positive ? value >= positive.at_least : value <= positive.at_most;
}
