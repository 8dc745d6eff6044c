// Choosing data, or bringing a file; and what the service says of it.

import { get } from "./api.js";
import { profileOf } from "./dataset_profile.js";
import { byId, element, replace, setText } from "./dom.js";
import * as format from "./format.js";
import { ACCEPTED, idOf, putFile } from "./put_file.js";

export class DataPanel {
  /**
   * `onAsk()` hears that another dataset is asked for; then `onChoose(dataset, id)` of the newest one: the whole
   * dataset's document, or null.
   */
  constructor(onAsk, onChoose) {
    this.onAsk = onAsk;
    this.onChoose = onChoose;
    this.choice = element("select", { id: "dataset", "aria-describedby": "dataset-error", on: { change: () => void this.choose(this.choice.value) } });
    this.error = element("p", { class: "field-error", id: "dataset-error", role: "alert" });
    this.profile = element("div");
    this.file = element("input", { type: "file", class: "sr", id: "file", accept: ACCEPTED, tabindex: "-1", "aria-hidden": "true", on: { change: () => this.took(this.file.files[0]) } });
    this.newId = element("input", { type: "text", id: "new-id", "aria-label": "Id of the new data", placeholder: "id of the new data", autocomplete: "off" });
    this.put = element("button", { type: "button", disabled: true, on: { click: () => void this.upload() } }, "Upload");
    this.progress = element("progress", { max: "1", value: "0", hidden: true, "aria-label": "Upload" });
    this.words = element("span", {}, "Drop a table (CSV, Parquet), images (zip or tar with a folder for each class) or arrays (npz) here, or");
    this.drop = element("div", { class: "drop", on: this.dropping() },
      this.words, element("button", { type: "button", on: { click: () => this.file.click() } }, "Choose a file"), this.file, this.newId, this.put, this.progress);
    replace(byId("data-panel"), element("div", { class: "field" }, element("label", { for: "dataset" }, "Dataset"), this.choice, this.error), this.drop, this.profile);
  }

  /** Offer the datasets that there are. */
  async list() {
    const page = await get("/datasets?limit=100");
    replace(this.choice, element("option", { value: "" }, page.data.length ? "choose" : "none yet: upload one"),
      page.data.map((one) => element("option", { value: one.id }, `${one.id}  (${format.number(one.rows)} ${one.kind === "images" ? "images" : "rows"})`)));
    this.choice.value = this.chosen ?? "";
  }

  /** Show the spec's dataset; asks for it where it is another one than before. */
  async show(id) {
    if (id && ![...this.choice.options].some((one) => one.value === id)) this.choice.append(element("option", { value: id }, id));
    this.choice.value = id ?? "";
    if (id !== this.chosen) await this.choose(id ?? "");
  }

  showProblem(text) {
    setText(this.error, text);
  }

  showTarget(name) {
    for (const row of this.profile.querySelectorAll("tr[data-column]")) row.setAttribute("aria-selected", String(row.dataset.column === name));
  }

  async choose(id) {
    this.chosen = id || undefined;
    this.onAsk();
    let dataset = null;
    try {
      dataset = id ? await get(`/datasets/${encodeURIComponent(id)}`) : null;
    } catch (problem) {
      this.showProblem(problem.status === 404 ? "there is no dataset with this id" : problem.message);
    }
    if (this.chosen !== (id || undefined)) return;
    replace(this.profile, dataset ? profileOf(dataset) : null);
    this.onChoose(dataset, id || undefined);
  }

  dropping() {
    const mark = (isOver) => (event) => {
      event.preventDefault();
      this.drop.classList.toggle("over", isOver);
    };
    return {
      dragover: mark(true),
      dragleave: mark(false),
      drop: (event) => {
        mark(false)(event);
        this.took(event.dataTransfer.files[0]);
      },
    };
  }

  took(file) {
    if (!file) return;
    this.taken = file;
    setText(this.words, `${file.name}, ${format.bytes(file.size)}, as`);
    if (!this.newId.value) this.newId.value = idOf(file.name);
    this.put.disabled = false;
    this.newId.focus();
  }

  async upload() {
    this.put.disabled = true;
    this.progress.hidden = false;
    this.showProblem("");
    try {
      const id = this.newId.value.trim();
      const dataset = await putFile(id, this.taken, (part) => (this.progress.value = part));
      setText(this.words, `${dataset.id} uploaded: ${format.counted(dataset.rows, dataset.kind === "images" ? "image" : "row")}. Choose another file?`);
      await this.list();
      this.choice.value = dataset.id;
      await this.choose(dataset.id);
    } catch (problem) {
      const parts = problem.errors?.map((one) => one.detail) ?? [];
      this.showProblem(parts.length ? parts.join("; ") : problem.message);
      this.put.disabled = false;
    }
    this.progress.hidden = true;
  }
}
