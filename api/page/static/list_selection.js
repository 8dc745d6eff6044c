// The jobs that a person has selected in the list, and what is done with all of them: compare, cancel, delete, tag.

import { send } from "./api.js";
import { asked, confirmed } from "./dialogs.js";
import { byId, element, setAttribute, setText } from "./dom.js";
import { counted, TERMINAL } from "./format.js";
import { notice } from "./notice.js";

const MOST_COMPARED = 20;
const AT_ONCE = 4;
const MOST_TRIES = 5;

export class Selection {
  /** `onChange()` hears of every change of the selection, `onDone()` when something was done with its jobs. */
  constructor(onChange, onDone) {
    this.jobs = new Map();
    this.onChange = onChange;
    this.onDone = onDone;
    const isReader = document.body.dataset.scope === "read";
    for (const [id, act] of [["cancel-picked", () => this.cancel()], ["delete-picked", () => this.remove()], ["tag-picked", () => this.tag()]]) {
      byId(id).addEventListener("click", () => void act().catch((problem) => notice(problem.message, "bad")));
      byId(id).hidden = isReader;
    }
    byId("clear-picked").addEventListener("click", () => this.clear());
    this.#show();
  }

  has(id) {
    return this.jobs.has(id);
  }

  pick(job, isPicked) {
    if (isPicked) this.jobs.set(job.id, job);
    else this.jobs.delete(job.id);
    this.#changed();
  }

  pickAll(jobs, isPicked) {
    for (const job of jobs) {
      if (isPicked) this.jobs.set(job.id, job);
      else this.jobs.delete(job.id);
    }
    this.#changed();
  }

  clear() {
    this.jobs.clear();
    this.#changed();
    byId("content").focus();
  }

  /** Know the selected jobs as they are now. */
  refresh(jobs) {
    for (const job of jobs) if (this.jobs.has(job.id)) this.jobs.set(job.id, job);
  }

  async cancel() {
    const { some, others } = this.#split((job) => !TERMINAL.has(job.status));
    if (!some.length) return notice("All selected jobs have ended.", "warn");
    const running = some.filter((job) => job.status === "running").length;
    const parts = [running && `${running} running: progress is saved first.`, some.length - running && `${some.length - running} queued.`];
    const words = [...parts, others && `${counted(others, "selected job")} had already finished and stay${others === 1 ? "s" : ""}.`];
    const act = `Cancel ${counted(some.length, "job")}`;
    if (!(await confirmed(`${act}?`, words.filter(Boolean).join(" "), act, "Keep running"))) return;
    await this.#each("cancel-picked", "Cancelling", some, (job) => send("POST", `/jobs/${job.id}/cancel`), "cancelled");
  }

  async remove() {
    const { some, others } = this.#split((job) => TERMINAL.has(job.status));
    if (!some.length) return notice("No selected job has finished. Cancel jobs first, and delete them when they have finished.", "warn");
    const act = `Delete ${counted(some.length, "job")}`;
    const left = others ? ` ${counted(others, "selected job")} ${others === 1 ? "has" : "have"} not ended and stay${others === 1 ? "s" : ""}.` : "";
    const words = `Their checkpoints, logs and curves are deleted permanently.${left}`;
    if (!(await confirmed(`${act}?`, words, act, "Keep jobs"))) return;
    await this.#each("delete-picked", "Deleting", some, (job) => send("DELETE", `/jobs/${job.id}`), "deleted");
  }

  async tag() {
    const jobs = [...this.jobs.values()];
    const field = element("input", { id: "tag-name", type: "text", required: true, maxlength: 64, autocomplete: "off" });
    const form = element("form", { method: "dialog" }, [
      element("label", { for: "tag-name" }, "Tag"),
      field,
      element("div", { class: "dialog-end" }, [
        element("button", { value: "add", class: "primary" }, "Add tag"),
        element("button", { value: "remove" }, "Remove tag"),
        element("button", { value: "", formnovalidate: true }, "Close"),
      ]),
    ]);
    const act = await asked(`Tag ${counted(jobs.length, "job")}`, form);
    const tag = field.value.trim();
    if (!act || !tag) return;
    const change = act === "add" ? { add_tags: [tag] } : { remove_tags: [tag] };
    await this.#each("tag-picked", "Tagging", jobs, (job) => send("PATCH", `/jobs/${job.id}`, change), "changed");
  }

  #split(isPossible) {
    const all = [...this.jobs.values()];
    const some = all.filter(isPossible);
    return { some, others: all.length - some.length };
  }

  /** Do something with each job, a few at a time; say how it ended. Those that it was done with are not selected any more. */
  async #each(button, doing, jobs, act, done) {
    const node = byId(button);
    if (node.ariaBusy === "true") return;
    const label = node.textContent;
    const failed = [];
    const waiting = [...jobs];
    let over = 0;
    node.ariaBusy = "true";
    const work = async () => {
      while (waiting.length) {
        const job = waiting.shift();
        try {
          await patiently(() => act(job));
          if (done !== "changed") this.jobs.delete(job.id);
        } catch (problem) {
          failed.push({ job, problem });
        }
        over += 1;
        setText(node, `${doing} ${over} of ${jobs.length}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    node.ariaBusy = null;
    setText(node, label);
    report(jobs.length - failed.length, failed, done);
    this.#changed();
    this.onDone();
  }

  #changed() {
    this.#show();
    this.onChange();
  }

  #show() {
    const { size } = this.jobs;
    byId("picked").hidden = size === 0;
    setText(byId("picked-count"), `${counted(size, "job")} selected`);
    const isPossible = size >= 2 && size <= MOST_COMPARED;
    const link = byId("compare");
    setText(link, size > MOST_COMPARED ? `Compare (maximum ${MOST_COMPARED})` : size ? `Compare (${size})` : "Compare");
    setAttribute(link, "aria-disabled", isPossible ? null : "true");
    setAttribute(link, "tabindex", isPossible ? null : "-1");
    link.href = `/page/compare?${new URLSearchParams([...this.jobs.keys()].map((one) => ["job", one]))}`;
  }
}

/** Try again where the service asks for patience. */
async function patiently(act) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await act();
    } catch (problem) {
      if (!problem.retryAfter || tries === MOST_TRIES) throw problem;
      await new Promise((ready) => setTimeout(ready, 1000 * problem.retryAfter));
    }
  }
}

function report(count, failed, done) {
  if (count) notice(`${counted(count, "job")} ${done}.`);
  const reasons = new Map();
  for (const { problem } of failed) {
    const words = problem.errors?.[0]?.detail ?? problem.message;
    reasons.set(words, (reasons.get(words) ?? 0) + 1);
  }
  for (const [words, number] of reasons) notice(`${counted(number, "job")} not ${done}: ${words}`, "bad");
}
