// One parameter of a new sweep: its place in the job's spec, its kind, and its values.

import { element, setAttribute, setText } from "./dom.js";

const KINDS = [["uniform", "number"], ["log", "number, log scale"], ["int", "whole number"], ["choice", "one of"]];
let count = 0;

/** The places of a spec that hold a value, by JSON pointer. */
export function placesOf(spec, before = "") {
  return Object.entries(spec).flatMap(([name, value]) => {
    const place = `${before}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const isInner = value !== null && typeof value === "object" && !Array.isArray(value);
    return isInner ? placesOf(value, place) : [[place, value]];
  });
}

/** Values to begin with, around the one that the job has. */
export function suggestion(value) {
  if (typeof value !== "number") return ["choice", value === null || value === undefined ? "" : JSON.stringify(value)];
  if (Number.isInteger(value) && value > 1) return ["int", `${Math.ceil(value / 2)}, ${value * 2}`];
  if (value > 0 && value < 0.1) return ["log", `${rounded(value / 10)}, ${rounded(value * 10)}`];
  return ["uniform", "0, 0.5"];
}

export class ParameterRow {
  constructor({ place, kind, values, onRemove, onPlace }) {
    count += 1;
    const error = `parameter-${count}-error`;
    this.error = element("p", { class: "field-error", id: error });
    this.place = element("input", { type: "text", list: "places", value: place, spellcheck: "false", autocomplete: "off", "aria-describedby": error, on: { change: () => onPlace(this) } });
    this.kind = element("select", {}, KINDS.map(([value, words]) => element("option", { value, selected: value === kind }, words)));
    this.values = element("input", { type: "text", value: values, spellcheck: "false", autocomplete: "off", "aria-describedby": error });
    const remove = element("button", { type: "button", class: "quiet", on: { click: () => onRemove(this) } }, "Remove");
    this.node = element("div", { class: "parameter", role: "group", "aria-label": "Parameter" },
      element("label", {}, "Path in the spec", this.place),
      element("label", {}, "Kind", this.kind),
      element("label", {}, "Values", this.values), remove, this.error);
  }

  /** The parameter as the API takes it. What is no number stays a text, so that the API says what it expected. */
  parameter() {
    return { [this.kind.value]: valuesIn(this.values.value, this.kind.value === "choice") };
  }

  suggest([kind, values]) {
    this.kind.value = kind;
    this.values.value = values;
  }

  showProblem(text) {
    setText(this.error, text);
    for (const input of [this.place, this.values]) setAttribute(input, "aria-invalid", text ? "true" : null);
  }
}

/** The values that a text lists: JSON where it is some, such as `[8], [64, 32]` or `"adam", null`, else words. */
function valuesIn(text, isChoice) {
  try {
    return JSON.parse(`[${text}]`);
  } catch {
    const items = text.split(",").map((one) => one.trim()).filter(Boolean);
    return items.map((one) => (isChoice && !isNumber(one) ? one : isNumber(one) ? Number(one) : one));
  }
}

function isNumber(text) {
  return text !== "" && !Number.isNaN(Number(text));
}

function rounded(value) {
  return Number(value.toPrecision(3));
}
