// Which kind of model is trained; of a Keras model, its JSON, and of an earlier job's, that job.

import { element, replace, setAttribute, setText } from "./dom.js";
import { EarlierField } from "./earlier_field.js";
import { kerasWords, MODEL_LABELS, MODELS } from "./kinds.js";

export class ModelField {
  /** `onChange(model)` hears of another model: the whole part of the spec. */
  constructor(onChange, firstNetwork) {
    this.onChange = onChange;
    this.firstNetwork = firstNetwork;
    this.kind = element("select", { id: "model-kind", "aria-describedby": "model-error", on: { change: () => this.changed() } });
    this.file = element("input", { id: "model-file", type: "file", accept: ".json,application/json", "aria-label": "Model as JSON", on: { change: () => void this.read() } });
    this.words = element("p", { class: "hint" });
    this.error = element("p", { class: "field-error", id: "model-error" });
    this.own = element("div", { class: "field" }, element("label", { for: "model-file" }, "Model as JSON"), this.file, this.words);
    this.earlier = new EarlierField((job) => this.onChange({ ...this.model, job }));
    this.node = [element("div", { class: "field" }, element("label", { for: "model-kind" }, "Kind"), this.kind, this.error), this.own, this.earlier.node];
  }

  show(spec, kinds) {
    const offered = MODELS[kinds.dataset].includes(kinds.model) ? MODELS[kinds.dataset] : [...MODELS[kinds.dataset], kinds.model];
    replace(this.kind, offered.map((one) => element("option", { value: one }, MODEL_LABELS[one])));
    this.kind.value = kinds.model;
    this.own.hidden = kinds.model !== "keras";
    this.model = spec.model;
    this.earlier.show(spec.model?.job, kinds.model === "job");
    const { config } = spec.model ?? {};
    setText(this.words, config && Object.keys(config).length ? kerasWords(config) : "File with the output of model.to_json().");
  }

  showProblem(text) {
    setText(this.error, text);
    setAttribute(this.kind, "aria-invalid", text ? "true" : null);
  }

  changed() {
    const kind = this.kind.value;
    const more = { application: { name: this.firstNetwork() }, keras: { config: {} }, job: { job: "" } };
    this.onChange({ kind, ...more[kind] });
  }

  async read() {
    try {
      this.onChange({ kind: "keras", config: JSON.parse(await this.file.files[0].text()) });
    } catch {
      this.showProblem("The file is not JSON. Write it with model.to_json().");
    }
  }
}
