// The trials of one sweep: what was read of them, and what follows from it. A finished trial is read once.

import { get } from "./api.js";

const PAGE = 1000;
// The statuses of a trial that has not ended.
const UNFINISHED = new Set(["proposed", "queued", "running"]);

/** All trials of a sweep, by their numbers. */
export class Trials {
  constructor(sweepId) {
    this.sweepId = sweepId;
    this.byNumber = new Map();
    this.deleted = 0;
  }

  /** Read what may have changed by the sweep's `counts`: the trials that had not ended, and new ones. */
  async look({ total, deleted }) {
    if (deleted !== this.deleted) this.byNumber.clear();
    this.deleted = deleted;
    const open = this.all.filter((trial) => UNFINISHED.has(trial.status));
    if (open.length) this.#take(await this.#ask(open.map((trial) => ["number", trial.number])));
    for (let hasMore = this.byNumber.size < total; hasMore; ) {
      const page = await this.#ask([["after", this.last]]);
      this.#take(page);
      hasMore = page.has_more && page.data.length > 0;
    }
  }

  #ask(parameters) {
    return get(`/sweeps/${this.sweepId}/trials?${new URLSearchParams([["limit", PAGE], ...parameters])}`);
  }

  #take(page) {
    for (const trial of page.data) this.byNumber.set(trial.number, trial);
  }

  get all() {
    return [...this.byNumber.values()];
  }

  /** The largest number. */
  get last() {
    let last = 0;
    for (const number of this.byNumber.keys()) last = Math.max(last, number);
    return last;
  }

  /** Those with a value of the objective, the worst first. */
  ranked(mode) {
    const sign = mode === "max" ? 1 : -1;
    return this.all.filter((trial) => trial.value !== null).sort((one, other) => sign * (one.value - other.value));
  }
}

/**
 * The trials in the order of their ends, each with what all had spent by then: `{ ...trial, spent, spentCost }`, and the
 * steps of the best value so far.
 */
export function bestSoFar(trials, mode) {
  const ended = trials.filter((trial) => trial.finished_at).sort((one, other) => (one.finished_at < other.finished_at ? -1 : 1));
  const steps = [];
  let spent = 0;
  let spentCost = 0;
  const points = ended.map((trial, index) => {
    spent += trial.gpu_seconds;
    spentCost += trial.costs.reduce((sum, one) => sum + one.amount, 0);
    const point = { ...trial, spent, spentCost, ended: index + 1 };
    const best = steps.at(-1)?.value;
    const isBetter = best === undefined || (mode === "max" ? trial.value > best : trial.value < best);
    if (trial.value !== null && isBetter) steps.push(point);
    return point;
  });
  return { points, steps };
}
