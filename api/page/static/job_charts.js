// The charts of one job: every metric, training and validation on one, and the learning rate.

import { Chart } from "./charts.js";
import { byId } from "./dom.js";
import { metric, number } from "./format.js";
import { showKey } from "./marks.js";
import {  betterMode, extremeRow, extremeWord, lastRow, paired } from "./series.js";

const TRAINING = "--series-2";
const VALIDATION = "--series-1";
const RECENT = 20;
// A forecast reaches far at first; of the axis the curve keeps this part at least.
const LEAST_OF_AXIS = 1 / 4;

/** Keeps the charts of a job as its curves say; `marks` are read again for each drawing. */
export class JobCharts {
  constructor(view, curves, controls) {
    this.view = view;
    this.curves = curves;
    this.controls = controls;
    this.charts = new Map();
    /** The metric that decides, whose chart is the great one; null as long as nobody knows. */
    this.monitor = null;
    this.forecast = null;
    /** The stop that somebody asks for with the slider: `{epoch, patience, last}`, or null. */
    this.whatif = null;
    this.stop = null;
  }

  /** Make a chart for each metric that has none yet, and draw all with the next frame. */
  update() {
    for (const names of paired(this.curves.names)) this.#ensure(names);
    if (this.curves.length) this.#ensureRate();
    this.view.horizon = this.forecast ? this.#place(Math.min(this.forecast.p90, this.curves.last / LEAST_OF_AXIS)) : null;
    this.marks = this.#marks();
    showKey(byId("marks-key"), this.marks);
    this.view.redraw();
  }

  #ensure(names) {
    const key = names.at(-1);
    const known = this.charts.get(key);
    if (known?.names.join() === names.join()) return;
    known?.chart.remove();
    this.charts.delete(names[0]);
    const isGreat = names.includes(this.monitor);
    const curves = names.map((name) => ({
      label: name,
      colour: name.startsWith("val_") ? VALIDATION : TRAINING,
      dash: name.startsWith("val_") ? undefined : [5, 3],
    }));
    const title = names[0].replace(/^val_/, "");
    const options = { title, curves, height: isGreat ? 320 : 190, hasLabels: isGreat };
    const chart = new Chart(this.view, options, () => this.#source(names));
    this.charts.set(key, { chart, names });
    byId(isGreat ? "great-chart" : "charts").append(chart.figure);
  }

  #ensureRate() {
    if (this.charts.has("learning rate")) return;
    const curves = [{ label: "learning rate", colour: "--series-3", isStepped: true }];
    const options = { title: "learning rate", curves, height: 190, unit: (value) => number(value, 6) };
    const chart = new Chart(this.view, options, () => this.#rateSource());
    this.charts.set("learning rate", { chart, names: ["learning rate"] });
    byId("rate-chart").append(chart.figure);
  }

  #source(names) {
    const decisive = names.at(-1);
    const columns = names.map((name) => this.curves.values(name));
    const values = columns.at(-1);
    const extreme = extremeRow(values, betterMode(decisive));
    this.#tellPoints();
    return { ...this.#shared(), columns, always: [extreme, ...this.#markedRows()], caption: this.#caption(decisive, values, extreme) };
  }

  #rateSource() {
    const { rates } = this.curves;
    const drops = this.curves.drops.length;
    const falls = drops ? `, fell ${drops === 1 ? "once" : `${drops} times`} from ${number(rates[0], 6)}` : "";
    const caption = `last ${number(rates.at(-1), 6)} at epoch ${this.curves.last}${falls}`;
    return { ...this.#shared(), columns: [rates], caption };
  }

  #shared() {
    const places = this.view.axis === "time" ? this.curves.elapsed : this.curves.epochs;
    return { epochs: this.curves.epochs, places, marks: this.marks, place: (epoch) => this.#place(epoch) };
  }

  #caption(name, values, extreme) {
    const last = lastRow(values);
    if (last < 0) return `${name}: no finite value`;
    const { epochs } = this.curves;
    return `${name} ${extremeWord(name)} ${metric(values[extreme])} at epoch ${epochs[extreme]}, last ${metric(values[last])} at epoch ${epochs[last]}`;
  }

  /** Where an epoch is on the axis; behind the last one as far as the epochs of late say. */
  #place(epoch) {
    if (this.view.axis === "epoch") return epoch;
    const { elapsed, length, last } = this.curves;
    const row = this.curves.row(epoch);
    if (row >= 0) return elapsed[row];
    if (!length || epoch < last) return 0;
    const recent = Math.min(RECENT, length);
    const each = (elapsed[length - 1] - (elapsed[length - 1 - recent] ?? 0)) / recent;
    return elapsed[length - 1] + (epoch - last) * each;
  }

  #markedRows() {
    return this.marks.filter((mark) => mark.kind !== "checkpoint").map((mark) => this.curves.row(mark.epoch));
  }

  #marks() {
    const { curves } = this;
    const marks = curves.checkpoints.map(({ epoch }) => ({ kind: "checkpoint", epoch }));
    marks.push(...curves.drops.map(({ epoch, after }) => ({ kind: "drop", epoch, label: `lr ${number(after, 6)}` })));
    marks.push(...curves.interruptions.map(({ epoch, from, attempt }) => went(epoch, from, attempt)));
    if (curves.best) marks.push({ kind: "best", epoch: curves.best.epoch, label: `best model ${curves.best.epoch}` });
    if (this.stop) marks.push({ kind: "stop", epoch: this.stop, label: `stop ${this.stop}` });
    if (this.forecast) {
      const { p10, p50, p90 } = this.forecast;
      marks.push({ kind: "forecast", epoch: p50, from: p10, to: p90, label: `likely stop ${p50}` });
    }
    if (this.whatif) {
      const { epoch, patience, last } = this.whatif;
      marks.push({ kind: "whatif", epoch, last, label: `patience ${patience}: ${epoch}` });
    }
    return marks;
  }

  #tellPoints() {
    const points = [...this.charts.values()].map(({ chart }) => chart.points);
    const least = points.reduce((one, other) => (other.of && other.shown < one.shown ? other : one), points[0]);
    if (least) this.controls.showPoints(least.shown, least.of);
  }
}

function went(epoch, from, attempt) {
  if (from === 0) return { kind: "extension", epoch, label: "extended" };
  return { kind: "interruption", epoch, label: `attempt ${attempt}` };
}
