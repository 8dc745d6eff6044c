// What the training processes of a job printed: the last lines, new ones as they come, and a search.

import { get } from "./api.js";
import { byId, setText } from "./dom.js";
import { TERMINAL, counted, number } from "./format.js";

const FIRST_LINES = 5000;
const MOST_LINES = 20_000;
const LOOK_MS = 1500;

/** The panel is empty, and asks for nothing, until somebody opens it. */
export class OutputPanel {
  constructor(jobId, onProblem) {
    this.path = `/jobs/${jobId}/output`;
    this.onProblem = onProblem;
    this.lines = [""];
    this.attempt = null;
    this.next = null;
    this.cut = false;
    this.isOver = false;
    this.isReading = false;
    this.node = byId("output");
    this.text = byId("output-text");
    this.note = byId("output-note");
    this.search = byId("output-search");
    this.node.addEventListener("toggle", () => void this.#follow());
    this.search.addEventListener("input", () => this.#show());
  }

  /** Whether more may be printed. */
  setStatus(status) {
    this.isOver = TERMINAL.has(status);
  }

  async #follow() {
    if (this.isReading) return;
    this.isReading = true;
    let mayCome = true;
    while (this.node.open && mayCome) {
      // Asked before the output is read: nothing is printed after the end.
      mayCome = !this.isOver;
      try {
        await this.#read();
      } catch (problem) {
        if (problem.status) mayCome = false;
        this.onProblem(problem);
      }
      if (mayCome) await new Promise((done) => setTimeout(done, LOOK_MS));
    }
    this.isReading = false;
  }

  async #read() {
    let page;
    do {
      const query = new URLSearchParams(this.next ? { after: this.next } : { lines: FIRST_LINES });
      page = await get(`${this.path}?${query}`);
      page.data.forEach((piece) => this.#take(piece));
      if (this.next === null || page.data.length) this.#show();
      this.next = page.next;
    } while (page.has_more && this.node.open);
  }

  #take(piece) {
    if (piece.attempt !== this.attempt) {
      this.attempt = piece.attempt;
      this.#add(`==> attempt ${piece.attempt}${piece.host ? ` on ${piece.host}` : ""} <==\n`);
    }
    if (piece.skipped_bytes) this.#add(`[... ${number(piece.skipped_bytes)} bytes were removed here ...]\n`);
    const [rest, ...lines] = piece.text.split("\n");
    this.lines[this.lines.length - 1] += rest;
    for (const line of lines) this.lines.push(line);
    const more = this.lines.length - MOST_LINES;
    if (more > 0) this.lines.splice(0, more);
    this.cut ||= more > 0;
  }

  #add(line) {
    if (this.lines.at(-1)) this.lines.push("");
    this.lines[this.lines.length - 1] = line.trimEnd();
    this.lines.push("");
  }

  #show() {
    const wanted = this.search.value.trim().toLowerCase();
    const all = this.lines.at(-1) === "" ? this.lines.slice(0, -1) : this.lines;
    const shown = wanted ? all.filter((line) => line.toLowerCase().includes(wanted)) : all;
    const { scrollTop, clientHeight, scrollHeight } = this.text;
    const isAtTheEnd = scrollTop + clientHeight >= scrollHeight - 24;
    setText(this.text, shown.join("\n"));
    const lines = `${this.cut || all.length >= FIRST_LINES ? "the last " : ""}${counted(all.length, "line")}`;
    setText(this.note, all.length ? `${wanted ? `${number(shown.length)} of ` : ""}${lines}` : "No output yet.");
    if (isAtTheEnd) this.text.scrollTop = this.text.scrollHeight;
  }
}
