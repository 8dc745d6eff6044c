// What a job's events tell of its curve, read one by one. Nothing here touches the page.

const HEARD = {
  epoch: (curves, data) => curves.takeEpoch(data),
  checkpoint: (curves, data) => curves.takeCheckpoint(data),
  resume: (curves, data, event) => curves.takeResume(data, event),
  stop: (curves, data) => curves.takeStop(data),
};

/**
 * The run that counts: one row for each epoch, in columns, and what happened on the way.
 *
 * Epochs that an interruption made the job train again are taken back when it resumes, as in `shared/history.py`, so
 * the rows are always those of one unbroken run.
 */
export class Curves {
  constructor() {
    /** The number of each epoch, from 1; rising, without a hole behind the first. */
    this.epochs = [];
    /** Seconds that each epoch took. */
    this.seconds = [];
    /** Seconds of training from the first epoch to the end of each. */
    this.elapsed = [];
    /** The learning rate that each epoch was trained with. */
    this.rates = [];
    /** The metrics by name; null where one was not finite, or not told. */
    this.metrics = new Map();
    /** `{epoch, before, after}` for each epoch with which the learning rate fell. */
    this.drops = [];
    /** `{epoch, name, isBest}` for each checkpoint that was saved. */
    this.checkpoints = [];
    /** `{epoch, from, attempt}` for each time that it went on where attempt `from` was, in `epoch`; 0 is another job. */
    this.interruptions = [];
    /** The best saved model: `{epoch, monitor, value}`, or null. */
    this.best = null;
    /** Where early stopping stopped, or null. */
    this.stop = null;
    /** How far early stopping is after the last epoch, or null. */
    this.patience = null;
  }

  get length() {
    return this.epochs.length;
  }

  /** The last epoch; 0 before the first. */
  get last() {
    return this.epochs.at(-1) ?? 0;
  }

  /** The names of all metrics, in the order in which they came. */
  get names() {
    return [...this.metrics.keys()];
  }

  /** Take the next event of the job. Answers whether it says anything of the curve. */
  take(event) {
    const hear = HEARD[event.type];
    if (!hear || !event.data) return false;
    hear(this, event.data, event);
    return true;
  }

  /** The row of an epoch, or -1. */
  row(epoch) {
    const row = epoch - (this.epochs[0] ?? 1);
    return this.epochs[row] === epoch ? row : -1;
  }

  /** One metric, a value for each epoch. */
  values(name) {
    return this.metrics.get(name) ?? [];
  }

  takeEpoch(data) {
    if (!Number.isInteger(data.epoch) || !data.metrics) return;
    this.#takeBack(data.epoch - 1);
    for (const name of Object.keys(data.metrics)) {
      if (!this.metrics.has(name)) this.metrics.set(name, new Array(this.length).fill(null));
    }
    for (const [name, values] of this.metrics) values.push(data.metrics[name] ?? null);
    const before = this.rates.at(-1);
    if (data.learning_rate < before) this.drops.push({ epoch: data.epoch, before, after: data.learning_rate });
    this.epochs.push(data.epoch);
    this.seconds.push(data.seconds);
    this.elapsed.push((this.elapsed.at(-1) ?? 0) + data.seconds);
    this.rates.push(data.learning_rate);
    this.best = data.best;
    this.patience = data.early_stopping;
  }

  takeCheckpoint(data) {
    this.checkpoints.push({ epoch: data.epoch, name: data.name, isBest: Boolean(data.is_best) });
  }

  takeResume(data, event) {
    if (!Number.isInteger(data.epoch) || data.from_attempt === undefined) return;
    this.#takeBack(data.epoch - 1);
    this.interruptions.push({ epoch: data.epoch, from: data.from_attempt, attempt: event.attempt });
  }

  takeStop(data) {
    this.stop = { epoch: data.epoch, reason: data.reason };
  }

  /** Leave only the epochs up to this one. */
  #takeBack(epoch) {
    let kept = this.length;
    while (kept > 0 && this.epochs[kept - 1] > epoch) kept -= 1;
    if (kept === this.length) return;
    for (const column of [this.epochs, this.seconds, this.elapsed, this.rates, ...this.metrics.values()]) {
      column.length = kept;
    }
    this.drops = this.drops.filter((one) => one.epoch <= epoch);
    this.checkpoints = this.checkpoints.filter((one) => one.epoch <= epoch);
    this.interruptions = this.interruptions.filter((one) => one.epoch <= epoch + 1);
  }
}
