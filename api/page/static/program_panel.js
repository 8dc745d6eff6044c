// The program that a job runs, and the files that its script made.

import { get } from "./api.js";
import { element, replace } from "./dom.js";
import { bytes, counted, moment } from "./format.js";

const SHOWN_VERSION = 12;

/** The files are asked for when the job's page opens, when its state changes, and when somebody refreshes them. */
export class ProgramPanel {
  constructor(node, onProblem) {
    this.node = node;
    this.onProblem = onProblem;
    this.status = null;
    this.files = element("div", {});
  }

  /** Show the job's program; hidden for a job without one. */
  setJob(job) {
    const { program } = job.spec;
    this.node.hidden = !program;
    if (!program || job.status === this.status) return;
    this.status = job.status;
    this.jobId = job.id;
    const refresh = element("button", { type: "button", class: "small", on: { click: () => void this.#read() } }, "Refresh");
    replace(this.node, element("div", { class: "card-head" }, element("h2", {}, "Program and files"), refresh), facts(program), this.files);
    void this.#read();
  }

  async #read() {
    try {
      showFiles(this.files, this.jobId, await get(`/jobs/${this.jobId}/files`));
    } catch (problem) {
      this.onProblem(problem);
    }
  }
}

function facts(program) {
  const parts = [
    ["Program", program.id],
    ["Script", [program.entry, ...program.arguments].join(" ")],
    ["Version", program.version?.slice(0, SHOWN_VERSION)],
    ["Datasets", program.datasets.join(", ")],
    ["Network", program.network ? "allowed" : "not allowed"],
  ];
  const shown = parts.filter(([, value]) => value);
  return element("p", { class: "facts-line" }, shown.map(([name, value]) => element("span", {}, element("span", { class: "muted" }, `${name} `), value)));
}

function showFiles(node, jobId, { data, has_more: hasMore, left_out: leftOut }) {
  const notes = [hasMore ? "There are more files." : "", leftOut ? `${counted(leftOut, "link or special file")} not listed.` : ""].filter(Boolean);
  const note = notes.length ? element("p", { class: "muted small" }, notes.join(" ")) : null;
  replace(node, data.length ? table(jobId, data) : element("p", { class: "muted" }, "The script has written no files."), note);
}

function table(jobId, files) {
  const head = element("tr", {}, [["File", ""], ["Size", "num"], ["Changed", "num"]].map(([name, kind]) => element("th", { class: kind, scope: "col" }, name)));
  const frame = { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Files" };
  return element("div", frame, element("table", {}, element("thead", {}, head), element("tbody", {}, files.map((file) => row(jobId, file)))));
}

function row(jobId, { path, bytes: size, changed_at: changed }) {
  const place = path.split("/").map(encodeURIComponent).join("/");
  return element("tr", {}, [
    element("td", {}, element("a", { href: `/jobs/${jobId}/files/${place}`, download: true }, path)),
    element("td", { class: "num" }, bytes(size)),
    element("td", { class: "num" }, changed ? moment(changed) : "–"),
  ]);
}
