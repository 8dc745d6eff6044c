// The tags and the note of a job, shown and changed where they stand.

import { isShared, send } from "./api.js";
import { element, replace } from "./dom.js";
import { notice } from "./notice.js";

export class AnnotationsPanel {
  /** `onChange(job)` gets the job's document after a change. */
  constructor(node, onChange) {
    this.node = node;
    this.onChange = onChange;
    this.isReader = isShared || document.body.dataset.scope === "read";
    this.tags = element("div", { class: "tag-list" });
    this.note = element("div", { class: "note-place" });
    replace(node, this.tags, this.note);
  }

  /** Show a job; what a person is writing stays. */
  show(job) {
    this.job = job;
    const shown = JSON.stringify([job.tags, job.note]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.#showTags();
    if (!this.isEditing) this.#showNote();
    this.node.hidden = this.isReader && !job.tags.length && !job.note;
  }

  #showTags() {
    const { tags } = this.job;
    const typed = this.field?.value ?? "";
    const isFocused = document.activeElement === this.field;
    replace(this.tags, tags.map((tag) => this.#tag(tag)), this.isReader ? null : this.#form());
    if (!this.field) return;
    this.field.value = typed;
    if (isFocused) this.field.focus();
  }

  #tag(tag) {
    const remove = element("button", { type: "button", "aria-label": `Remove the tag ${tag}`, on: { click: () => this.#change({ remove_tags: [tag] }, () => this.field.focus()) } }, "×");
    const link = isShared ? tag : element("a", { href: `/?${new URLSearchParams({ tag })}`, title: `Jobs with the tag ${tag}` }, tag);
    return element("span", { class: "chip" }, link, this.isReader ? null : remove);
  }

  #form() {
    this.field = element("input", { type: "text", "aria-label": "New tag", placeholder: "Add a tag", maxlength: 64, autocomplete: "off" });
    const submit = (event) => {
      event.preventDefault();
      const tag = this.field.value.trim();
      if (!tag) return;
      this.field.value = "";
      void this.#change({ add_tags: [tag] }, () => this.field.focus());
    };
    return element("form", { on: { submit } }, this.field, element("button", { type: "submit" }, "Add tag"));
  }

  #showNote() {
    const { note } = this.job;
    const edit = () => this.#edit();
    const button = element("button", { type: "button", class: "small", on: { click: edit } }, note ? "Edit note" : "Add a note");
    replace(this.note, note ? element("p", { class: "note-text" }, note) : null, this.isReader ? null : button);
  }

  #edit() {
    this.isEditing = true;
    const field = element("textarea", { "aria-label": "Note", rows: 4, maxlength: 4096 });
    field.value = this.job.note;
    const close = () => {
      this.isEditing = false;
      this.#showNote();
      this.note.querySelector("button").focus();
    };
    const submit = (event) => {
      event.preventDefault();
      void this.#change({ note: field.value.replace(/\s+$/, "") }, close);
    };
    const keys = (event) => {
      if (event.key === "Escape") close();
    };
    replace(this.note, element("form", { class: "note-form", on: { submit, keydown: keys } }, field,
      element("div", { class: "dialog-end" }, element("button", { type: "button", on: { click: close } }, "Discard changes"), element("button", { type: "submit", class: "primary" }, "Save note"))));
    field.focus();
  }

  /** Change the job; what was typed stays where the API refuses it. */
  async #change(change, onDone) {
    try {
      const job = await send("PATCH", `/jobs/${this.job.id}`, change);
      this.show(job);
      onDone();
      this.onChange(job);
    } catch (problem) {
      notice(problem.errors?.map((one) => one.detail).join("\n") || problem.message, "bad");
    }
  }
}
