// One of several jobs, as far as a comparison needs it. Nothing here touches the page.

import { TERMINAL } from "./format.js";
import { betterMode, extremeRow, lastRow } from "./series.js";

const MOST_POINTS = 2000;

/** A job and its epochs; only what is new is fetched when it is read again. `get(path)` asks the API. */
export class ComparedJob {
  constructor(id, get) {
    this.id = id;
    this.get = get;
    this.document = null;
    this.epochs = [];
    this.elapsed = [];
    this.metrics = new Map();
    /** `{of, shown}` where not all epochs are here, else null. */
    this.sampled = null;
  }

  get name() {
    return this.document.name;
  }

  get isOver() {
    return TERMINAL.has(this.document.status);
  }

  get monitor() {
    const { spec, progress } = this.document;
    const { early_stopping: stopping, model_checkpoint: checkpoint } = spec.program ? { early_stopping: progress?.early_stopping ?? progress?.best } : spec.callbacks;
    return (stopping ?? checkpoint)?.monitor ?? "val_loss";
  }

  /** Read what is new. The document is read first: behind a job that is over nothing comes. */
  async readOn() {
    this.document = await this.get(`/jobs/${this.id}`);
    const after = this.epochs.at(-1) ?? 0;
    const page = await this.get(`/jobs/${this.id}/epochs?${new URLSearchParams({ after, points: MOST_POINTS })}`);
    this.sampled ??= page.sampled;
    page.data.forEach((row) => this.#take(row));
  }

  /** Where its epochs are on an axis, "epoch" or "time" (seconds of training; of a sample they are an estimate). */
  places(axis) {
    return axis === "time" ? this.elapsed : this.epochs;
  }

  /** One metric along the places of several jobs; null where it has none. */
  along(places, axis, metric) {
    const values = this.metrics.get(metric) ?? [];
    const own = this.places(axis);
    const found = new Map(own.map((place, row) => [place, values[row] ?? null]));
    return places.map((place) => found.get(place));
  }

  /** `{value, epoch}` of the highest value of a metric, or of one that is better the smaller it is the lowest; or null. */
  peak(metric) {
    return this.#at(metric, extremeRow(this.metrics.get(metric) ?? [], betterMode(metric)));
  }

  /** The last known value of a metric, or null. */
  last(metric) {
    return this.#at(metric, lastRow(this.metrics.get(metric) ?? []))?.value ?? null;
  }

  /** The least or the greatest value of a metric: "min" or "max"; or null. */
  extreme(metric, mode) {
    return this.#at(metric, extremeRow(this.metrics.get(metric) ?? [], mode))?.value ?? null;
  }

  #at(metric, row) {
    return row < 0 ? null : { value: this.metrics.get(metric)[row], epoch: this.epochs[row] };
  }

  #take(row) {
    const since = row.epoch - (this.epochs.at(-1) ?? 0);
    for (const name of Object.keys(row.metrics)) {
      if (!this.metrics.has(name)) this.metrics.set(name, new Array(this.epochs.length).fill(null));
    }
    for (const [name, values] of this.metrics) values.push(row.metrics[name] ?? null);
    this.epochs.push(row.epoch);
    this.elapsed.push((this.elapsed.at(-1) ?? 0) + since * row.seconds);
  }
}
