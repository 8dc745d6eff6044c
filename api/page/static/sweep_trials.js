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
    this.settled = 0;
  }

  /** Read what may have changed. */
  async look() {
    let after = this.settled;
    for (let hasMore = true; hasMore; ) {
      const page = await get(`/sweeps/${this.sweepId}/trials?after=${after}&limit=${PAGE}`);
      for (const trial of page.data) this.byNumber.set(trial.number, trial);
      hasMore = page.has_more && page.data.length > 0;
      after = page.data.at(-1)?.number ?? after;
    }
    for (let next = this.byNumber.get(this.settled + 1); next && !UNFINISHED.has(next.status); next = this.byNumber.get(this.settled + 1)) this.settled += 1;
  }

  get all() {
    return [...this.byNumber.values()];
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
