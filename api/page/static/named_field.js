// An optimizer or a loss: in the spec its name alone, or an object with its name and arguments.

import { valueAt, withValue } from "./json_pointer.js";
import { Field } from "./spec_field.js";
import { argumentsOf, schemaAt } from "./spec_schema.js";

/** The name at a place of the spec: that of the object, the name itself, or the schema's default. */
export function nameAt(spec, place, schema) {
  const value = valueAt(spec, place);
  return value?.name ?? value ?? schemaAt(schema, place).default;
}

/** The choice of a name. Arguments that the new name takes, too, stay. */
export class NameField extends Field {
  constructor(place, label, schema, onChange, spec) {
    super(place, label, schemaAt(schema, place), onChange);
    this.whole = schema;
    this.spec = spec;
  }

  showChoice(value) {
    super.showChoice(value?.name ?? value);
  }

  changed(name) {
    const taken = argumentsOf(this.whole, this.place, name ?? this.schema.default);
    const kept = Object.entries(argumentsAt(this.spec(), this.place)).filter(([one]) => taken.includes(one));
    this.onChange(this.place, together(name, Object.fromEntries(kept), this.schema.default));
  }
}

/** One field for each argument that the name in the spec takes. */
export function argumentFields(place, schema, onChange, spec) {
  const change = (at, value) => {
    const given = argumentsAt(withValue({ at: argumentsAt(spec(), place) }, `at/${at.split("/").at(-1)}`, value), "at");
    onChange(place, together(nameAt(spec(), place, schema), given, schemaAt(schema, place).default));
  };
  const names = argumentsOf(schema, place, nameAt(spec(), place, schema));
  return names.map((one) => new Field(`${place}/${one}`, asLabel(one), schemaAt(schema, `${place}/${one}`), change));
}

/** The name of a field as a person reads it. */
export function asLabel(name) {
  const words = name.replaceAll("_", " ").replace(/\blr\b/, "learning rate");
  return words[0].toUpperCase() + words.slice(1);
}

/** The arguments that are given in the object at a place; null stands for none. */
function argumentsAt(spec, place) {
  const value = valueAt(spec, place);
  const isObject = value !== null && typeof value === "object";
  return isObject ? Object.fromEntries(Object.entries(value).filter(([one, given]) => one !== "name" && given !== null)) : {};
}

function together(name, given, usual) {
  if (Object.keys(given).length) return { name: name ?? usual, ...given };
  return name === usual ? undefined : name;
}
