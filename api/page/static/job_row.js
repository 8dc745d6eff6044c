// One job in the table of jobs. A row is made once; an update changes only the cells whose values have changed.

import { element, setAttribute, setText } from "./dom.js";
import { cell } from "./job_cells.js";

export class JobRow {
  /** `onPick(job, isPicked)` hears of the box before the row. */
  constructor(job, columns, onPick) {
    this.id = job.id;
    this.box = element("input", { type: "checkbox", on: { change: () => onPick(this.job, this.box.checked) } });
    this.pickLabel = element("span", { class: "sr" });
    this.cells = columns.map((column) => column.cell());
    this.node = element("tr", { role: "row", dataset: { job: job.id } },
      cell("pick-cell", element("label", { class: "pick" }, this.box, this.pickLabel)),
      this.cells.map((one) => one.node),
    );
    this.update(job);
  }

  /** Take the row off the table. */
  remove() {
    for (const one of this.cells) one.forget?.();
    this.node.remove();
  }

  update(job) {
    this.job = job;
    this.tick();
    // The API's text of the row tells whether anything else is new.
    const text = JSON.stringify(job);
    if (text === this.text) return;
    this.text = text;
    setText(this.pickLabel, `Select ${job.name ?? job.dataset}`);
    setAttribute(this.node, "class", job.epoch ? null : "unbegun");
    for (const one of this.cells) one.show(job);
  }

  pick(isPicked) {
    this.box.checked = isPicked;
  }

  /** Show what changes by itself, such as the age. */
  tick() {
    for (const one of this.cells) one.tick?.(this.job);
  }
}
