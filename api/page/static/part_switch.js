// The switch of a part of the form, such as early stopping: null in the spec is off.

import { element } from "./dom.js";
import { valueAt, withValue } from "./json_pointer.js";

/** `isUsuallyOff`: the part is off where the spec says nothing. `onChange` gets a function from a spec to the next. */
export class PartSwitch {
  constructor(group, body, isUsuallyOff, onChange) {
    this.place = group.switch;
    this.instead = group.instead;
    this.isUsuallyOff = isUsuallyOff;
    this.body = body;
    this.box = element("input", { type: "checkbox", on: { change: () => onChange((spec) => this.next(spec)) } });
    this.node = element("label", { class: "switch" }, this.box, group.title);
  }

  /** The spec after a flip. Of two parts that exclude each other the other one is switched off. */
  next(spec) {
    const off = this.isUsuallyOff ? undefined : null;
    const on = this.isUsuallyOff ? {} : undefined;
    if (!this.box.checked) return withValue(spec, this.place, off);
    return withValue(this.instead ? withValue(spec, this.instead, undefined) : spec, this.place, on);
  }

  show(spec) {
    const value = valueAt(spec, this.place);
    const isTaken = this.instead !== undefined && value === undefined && isObject(valueAt(spec, this.instead));
    this.box.checked = value === undefined ? !this.isUsuallyOff && !isTaken : value !== null;
    this.body.parentElement.classList.toggle("off", !this.box.checked);
    this.body.inert = !this.box.checked;
  }
}

function isObject(value) {
  return value !== null && typeof value === "object";
}
