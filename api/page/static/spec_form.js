// The spec as a form, made from the API's own schema: names, limits, choices and explanations are said in one place.

import { element, setAttribute, setText } from "./dom.js";
import { valueAt } from "./json_pointer.js";

/**
 * The form's parts. A place that the schema does not have for the chosen kinds is left out; `switch` is a part that null
 * switches off.
 */
export const GROUPS = [
  { title: "Prediction and preprocessing", places: [["dataset/size", "Image size"], ["dataset/resize", "Resize"], ["dataset/channels", "Channels"], ["dataset/validation_fraction", "Validation split"], ["dataset/missing", "Missing values"], ["dataset/categorical_encoding", "Categorical encoding"], ["dataset/scaling", "Scaling"], ["dataset/drop_columns", "Excluded columns"], ["dataset/stratify", "Stratified split"]], extra: "target" },
  { title: "Augmentation", places: [["dataset/augment/flip_horizontal", "Flip horizontally"], ["dataset/augment/flip_vertical", "Flip vertically"], ["dataset/augment/shift", "Shift"], ["dataset/augment/rotation", "Rotation"], ["dataset/augment/zoom", "Zoom"], ["dataset/augment/brightness", "Brightness"], ["dataset/augment/contrast", "Contrast"]] },
  { title: "Model", places: [["model/kind", "Kind of model"], ["model/name", "Network"], ["model/layers", "Hidden layers"], ["model/filters", "Filters"], ["model/kernel_size", "Kernel size"], ["model/pooling", "Pooling"], ["model/dense", "Dense layers"], ["model/activation", "Activation"], ["model/dropout", "Dropout"], ["model/batch_normalization", "Batch normalization"]] },
  { title: "Training", places: [["hyperparameters/epochs", "Max epochs"], ["hyperparameters/batch_size", "Batch size"], ["hyperparameters/optimizer", "Optimizer"], ["hyperparameters/learning_rate", "Learning rate"], ["hyperparameters/class_weight", "Class weights"], ["hyperparameters/seed", "Seed"]] },
  { title: "Early stopping", switch: "callbacks/early_stopping", places: [["callbacks/early_stopping/monitor", "Monitor"], ["callbacks/early_stopping/patience", "Patience"], ["callbacks/early_stopping/min_delta", "Min delta"], ["callbacks/early_stopping/start_from_epoch", "Start from epoch"]] },
  { title: "Reduce learning rate on plateau", switch: "callbacks/reduce_lr_on_plateau", places: [["callbacks/reduce_lr_on_plateau/monitor", "Monitor"], ["callbacks/reduce_lr_on_plateau/factor", "Factor"], ["callbacks/reduce_lr_on_plateau/patience", "Patience"], ["callbacks/reduce_lr_on_plateau/min_lr", "Min learning rate"]] },
  { title: "Checkpoints", switch: "callbacks/model_checkpoint", places: [["callbacks/model_checkpoint/monitor", "Monitor"], ["callbacks/model_checkpoint/keep", "Checkpoints to keep"]] },
  { title: "Budget", places: [["budget/max_gpu_seconds", "Max compute time in seconds"], ["budget/max_cost", "Max cost"], ["budget/deadline", "Deadline"]] },
  { title: "Name and priority", places: [["name", "Name"], ["priority", "Priority"]], extra: "metadata" },
];

/**
 * The schema at a place, with references and "or null" resolved; undefined where there is none. `kinds` says which kind
 * of dataset and of model the spec has: each has fields of its own.
 */
export function schemaAt(schema, place, kinds) {
  let here = schema;
  for (const name of place.split("/")) {
    const kind = here === schema ? undefined : kinds[place.split("/")[0]];
    here = resolved(schema, here, kind)?.properties?.[name];
    if (!here) return undefined;
  }
  if (place === "model/kind") return { enum: modelKinds(schema), default: kinds.model, description: here.description ?? "" };
  return { ...resolved(schema, here), description: here.description ?? "" };
}

/** The kinds of model that a form can say: a Keras model comes as JSON alone. */
function modelKinds(schema) {
  return schema.properties.model.anyOf.map((one) => kindOf(resolved(schema, one))).filter((kind) => kind !== "keras");
}

function kindOf(schema) {
  return schema?.properties?.kind?.const;
}

function resolved(schema, here, kind) {
  if (!here) return undefined;
  if (here.$ref) return { ...schema.$defs[here.$ref.split("/").at(-1)], ...without(here, "$ref") };
  const inner = here.anyOf?.filter((one) => one.type !== "null");
  if (!inner) return here;
  const own = without(here, "anyOf");
  if (inner.length === 1) return { ...resolved(schema, inner[0]), ...own, isNullable: true };
  const all = inner.map((one) => resolved(schema, one));
  // A union by kind; a name or the same with arguments, which JSON says; "auto" or a list.
  const chosen = all.find((one) => kind && kindOf(one) === kind) ?? all.find((one) => one.enum) ?? all.find((one) => one.type === "array");
  return chosen ? { ...chosen, ...own } : here;
}

function without(object, name) {
  return Object.fromEntries(Object.entries(object).filter(([one]) => one !== name));
}

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
      const free = element("option", { value: "" }, schema.isNullable ? "none" : `default: ${schema.default}`);
      const options = choices.filter((one) => one !== schema.default).map((one) => element("option", { value: one }, String(one)));
      return element("select", { id, on: { change: () => this.changed(choices.find((one) => String(one) === this.input.value)) } }, free, options);
    }
    if (schema.type === "boolean") {
      const take = () => this.changed(this.input.checked === Boolean(schema.default) ? undefined : this.input.checked);
      return element("input", { id, type: "checkbox", on: { change: take } });
    }
    const isNumber = schema.type === "integer" || schema.type === "number";
    const take = () => this.changed(this.parsed(this.input.value.trim()));
    return element("input", { id, type: "text", autocomplete: "off", spellcheck: "false", inputmode: isNumber ? "decimal" : "text", on: { input: take } });
  }

  /** What was typed as a value; what is no number is sent as it is, so that the API says what it expected. */
  parsed(text) {
    if (text === "" || text === this.schema.default) return undefined;
    if (this.schema.type === "integer" || this.schema.type === "number") return asNumber(text);
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
      this.input.value = value === undefined || value === null || value === this.schema.default ? "" : String(value);
    } else if (document.activeElement !== this.input || JSON.stringify(this.parsed(this.input.value.trim())) !== JSON.stringify(value)) {
      this.input.value = value === undefined || value === null ? "" : Array.isArray(value) ? value.join(", ") : String(value);
    }
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
