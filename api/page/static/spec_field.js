// One field of the form, made from the API's schema of its place.

import { element, setAttribute, setText } from "./dom.js";
import { valueAt } from "./json_pointer.js";

/** One field of the form for one place of the spec. `onChange(place, value)`: undefined for what is left out. */
export class Field {
  constructor(place, label, schema, onChange) {
    this.place = place;
    this.pointer = `#/${place}`;
    this.label = label;
    this.schema = schema;
    this.onChange = onChange;
    const id = `field-${place.replaceAll("/", "-")}`;
    this.input = this.made(id);
    this.error = element("p", { class: "field-error", id: `${id}-error` });
    const hint = element("p", { class: "hint", id: `${id}-hint` }, schema.description);
    this.input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
    const isCheck = this.input.type === "checkbox";
    const name = isCheck ? element("label", { for: id }, this.input, label) : element("label", { for: id }, label);
    this.node = element("div", { class: `field ${isCheck ? "check" : ""}` }, name, isCheck ? null : this.input, hint, this.error);
  }

  made(id) {
    const { schema } = this;
    const choices = schema.enum ?? (schema.const === undefined ? null : [schema.const]);
    if (choices) {
      const free = element("option", { value: "" }, this.freeWords());
      const options = choices.filter((one) => one !== schema.default).map((one) => element("option", { value: one }, String(one)));
      const take = () => this.changed(choices.find((one) => String(one) === this.input.value));
      return element("select", { id, on: { change: take } }, free, options);
    }
    if (schema.type === "boolean") {
      const take = () => this.changed(this.input.checked === Boolean(schema.default) ? undefined : this.input.checked);
      return element("input", { id, type: "checkbox", on: { change: take } });
    }
    const isNumber = schema.type === "integer" || schema.type === "number";
    const take = () => this.changed(this.parsed(this.input.value.trim()));
    return element("input", { id, type: "text", autocomplete: "off", spellcheck: "false", inputmode: isNumber ? "decimal" : "text", on: { input: take } });
  }

  /** What a choice says where nothing is chosen. */
  freeWords() {
    const { schema } = this;
    if (schema.default === undefined) return "choose";
    return schema.default === null ? "none" : `default: ${schema.default}`;
  }

  /** What was typed as a value; what is no number is sent as it is, so that the API says what it expected. */
  parsed(text) {
    if (text === "") return undefined;
    if (this.schema.type === "integer" || this.schema.type === "number") return asNumber(text);
    if (this.schema.words?.includes(text)) return text;
    if (this.schema.type === "array") {
      const items = text.split(",").map((one) => one.trim()).filter(Boolean);
      return this.schema.items?.type === "string" ? items : items.map(asNumber);
    }
    return text;
  }

  changed(value) {
    this.onChange(this.place, value);
  }

  /** Show the spec's value, unless it is what the person is just typing. */
  show(spec) {
    const value = valueAt(spec, this.pointer);
    if (this.input.type === "checkbox") {
      this.input.checked = value ?? Boolean(this.schema.default);
    } else if (this.input.tagName === "SELECT") {
      this.showChoice(value);
    } else if (document.activeElement !== this.input || JSON.stringify(this.parsed(this.input.value.trim())) !== JSON.stringify(value)) {
      this.input.value = value === undefined || value === null ? "" : Array.isArray(value) ? value.join(", ") : String(value);
    }
  }

  /** A value that is no choice, such as an optimizer with arguments, is one more choice while it stands in the spec. */
  showChoice(value) {
    const isFree = value === undefined || value === null || value === this.schema.default;
    const text = isFree ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    if (![...this.input.options].some((one) => one.value === text)) this.input.append(element("option", { value: text }, text));
    this.input.value = text;
  }

  /** Show what the API makes of a field that is left out. */
  showDefault(effective) {
    const value = valueAt(effective, this.pointer) ?? this.schema.default;
    const isShown = this.input.tagName === "INPUT" && value !== undefined && value !== null && typeof value !== "boolean";
    setAttribute(this.input, "placeholder", isShown ? (Array.isArray(value) ? value.join(", ") : String(value)) : null);
  }

  showProblem(text) {
    setText(this.error, text);
    setAttribute(this.input, "aria-invalid", text ? "true" : null);
  }
}

function asNumber(text) {
  const value = Number(text);
  return Number.isNaN(value) ? text : value;
}
