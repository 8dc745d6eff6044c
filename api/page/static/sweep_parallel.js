// Parallel coordinates: an axis for each parameter and one for the objective, a line for each trial.
// Dragging over an axis selects the trials that cross it there.

import { element } from "./dom.js";
import { Paper, cut, sample } from "./sweep_paper.js";

const TOP = 34;
const BOTTOM = 14;
const SIDE = 56;
const CLOSE = 26;
// Of an axis, in pixels: on a narrow screen the figure scrolls.
const LEAST_WIDTH = 90;
const LEAST_RANGE = 0.01;
// Trials of one shade are one path: thousands of lines are a few strokes.
const SHADES = 6;
// Of more trials the best are drawn, and a sample of the others: more lines would only cover one another.
export const MOST_LINES = 1000;
const MOST_BEST = 250;

/** One figure. `pick(number)` opens a trial; `onSelect()` hears that another range is selected. */
export class ParallelCoordinates {
  constructor({ pick, onSelect, onHover }) {
    Object.assign(this, { pick, onSelect, onHover });
    this.axes = [];
    this.trials = [];
    this.ranges = new Map();
    this.hovered = null;
    this.paper = new Paper({ height: 320, label: "Parallel coordinates of all trials; the table below has the figures", draw: (context) => this.#draw(context), drawOver: (context) => this.#drawOver(context) });
    this.node = element("div", { class: "parallel", tabindex: "0", role: "region", "aria-label": "Parallel coordinates" }, this.paper.node);
    this.#listen();
  }

  /** Show these trials, the best last; `shade(trial)` is from 0, the worst, to 1. */
  show(axes, trials, shade) {
    this.axes = axes;
    this.trials = trials;
    this.shade = shade;
    this.paper.node.style.minWidth = `${axes.length * LEAST_WIDTH}px`;
    const labels = new Set(axes.map((axis) => axis.label));
    for (const label of this.ranges.keys()) if (!labels.has(label)) this.ranges.delete(label);
    this.paper.redraw();
  }

  /** Highlight a trial; null for none. */
  hover(number) {
    if (this.hovered === number) return;
    this.hovered = number;
    this.paper.redrawOver();
  }

  /** Whether a trial crosses every selected range. */
  isSelected(trial) {
    for (const axis of this.axes) {
      const range = this.ranges.get(axis.label);
      if (!range) continue;
      const place = axis.place(trial);
      if (place === null || place < range[0] || place > range[1]) return false;
    }
    return true;
  }

  get hasSelection() {
    return this.ranges.size > 0;
  }

  /** Select all trials. */
  clear() {
    this.ranges.clear();
    this.paper.redraw();
    this.onSelect();
  }

  #x(index) {
    return this.axes.length > 1 ? SIDE + ((this.paper.width - 2 * SIDE) * index) / (this.axes.length - 1) : this.paper.width / 2;
  }

  #y(place) {
    return TOP + (this.paper.height - TOP - BOTTOM) * (1 - place);
  }

  #draw(context) {
    if (!this.axes.length) return;
    const chosen = drawn(this.trials.filter((trial) => this.isSelected(trial)));
    if (this.hasSelection) this.#strokeAll(context, drawn(this.trials), "--line", 0.8, 1);
    for (let shade = 0; shade < SHADES; shade += 1) {
      const own = chosen.filter((trial) => Math.min(SHADES - 1, Math.floor(this.shade(trial) * SHADES)) === shade);
      const isBest = shade === SHADES - 1;
      this.#strokeAll(context, own, shade < SHADES / 2 ? "--line-strong" : "--accent", isBest ? 0.95 : 0.18 + 0.1 * shade, isBest ? 1.6 : 1);
    }
    this.axes.forEach((axis, index) => this.#drawAxis(context, axis, index));
  }

  #drawOver(context) {
    const hovered = this.trials.find((trial) => trial.number === this.hovered);
    if (hovered) this.#strokeAll(context, [hovered], "--good", 1, 3);
  }

  #strokeAll(context, trials, colour, alpha, width) {
    if (!trials.length) return;
    context.globalAlpha = alpha;
    context.strokeStyle = this.paper.colour(colour);
    context.lineWidth = width;
    context.beginPath();
    for (const trial of trials) this.#trace(context, trial);
    context.stroke();
    context.globalAlpha = 1;
  }

  /** The line of a trial; it has a gap where the trial does not have the parameter. */
  #trace(context, trial) {
    let isDown = false;
    this.axes.forEach((axis, index) => {
      const place = axis.place(trial);
      if (place === null) {
        isDown = false;
        return;
      }
      if (isDown) context.lineTo(this.#x(index), this.#y(place));
      else context.moveTo(this.#x(index), this.#y(place));
      isDown = true;
    });
  }

  #drawAxis(context, axis, index) {
    const x = this.#x(index);
    const room = this.axes.length > 1 ? (this.paper.width - 2 * SIDE) / (this.axes.length - 1) - 8 : 200;
    context.strokeStyle = this.paper.colour("--line-strong");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, this.#y(1));
    context.lineTo(x, this.#y(0));
    context.stroke();
    context.fillStyle = this.paper.colour("--text");
    context.textAlign = index === 0 ? "left" : index === this.axes.length - 1 ? "right" : "center";
    const edge = index === 0 ? x - SIDE + 4 : index === this.axes.length - 1 ? x + SIDE - 4 : x;
    context.fillText(cut(context, axis.label, Math.max(40, room)), edge, 14);
    this.#drawTicks(context, axis, x);
    const range = this.ranges.get(axis.label);
    if (range) this.#drawRange(context, x, range);
  }

  #drawTicks(context, axis, x) {
    context.textAlign = "left";
    context.lineJoin = "round";
    for (const { at, words } of axis.ticks) {
      const text = cut(context, words, SIDE - 8);
      // An outline in the colour of the background, since lines pass behind the text.
      context.strokeStyle = this.paper.colour("--surface");
      context.lineWidth = 3;
      context.strokeText(text, x + 6, this.#y(at) + 4);
      context.fillStyle = this.paper.colour("--muted");
      context.fillText(text, x + 6, this.#y(at) + 4);
    }
  }

  #drawRange(context, x, [from, to]) {
    context.fillStyle = this.paper.colour("--accent");
    context.globalAlpha = 0.25;
    context.fillRect(x - 8, this.#y(to), 16, this.#y(from) - this.#y(to));
    context.globalAlpha = 1;
    context.strokeStyle = this.paper.colour("--accent");
    context.strokeRect(x - 8, this.#y(to), 16, this.#y(from) - this.#y(to));
  }

  #listen() {
    const { canvas } = this.paper;
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      const index = this.#axisAt(event.offsetX);
      if (index === null) return;
      drag = { index, from: this.#placeAt(event.offsetY), isMoved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (drag) this.#select(drag, this.#placeAt(event.offsetY));
      else this.onHover(this.#nearest(event.offsetX, event.offsetY)?.number ?? null);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!drag) {
        const trial = this.#nearest(event.offsetX, event.offsetY);
        if (trial) this.pick(trial.number);
      } else if (!drag.isMoved && this.ranges.delete(this.axes[drag.index].label)) this.onSelect();
      drag = null;
      this.paper.redraw();
    });
    canvas.addEventListener("pointerleave", () => this.onHover(null));
  }

  #select(drag, place) {
    const range = [Math.min(drag.from, place), Math.max(drag.from, place)];
    if (range[1] - range[0] < LEAST_RANGE) return;
    drag.isMoved = true;
    this.ranges.set(this.axes[drag.index].label, range);
    this.paper.redraw();
    this.onSelect();
  }

  #axisAt(x) {
    const index = this.axes.findIndex((_, number) => Math.abs(this.#x(number) - x) <= CLOSE / 2);
    return index < 0 ? null : index;
  }

  #placeAt(y) {
    return Math.min(1, Math.max(0, 1 - (y - TOP) / (this.paper.height - TOP - BOTTOM)));
  }

  /** The selected trial whose line passes nearest; null where none is near. */
  #nearest(x, y) {
    const right = this.axes.findIndex((_, index) => this.#x(index) >= x);
    if (right < 1) return null;
    const part = (x - this.#x(right - 1)) / (this.#x(right) - this.#x(right - 1));
    let nearest = null;
    let least = 8;
    for (const trial of this.trials) {
      const [from, to] = [this.axes[right - 1].place(trial), this.axes[right].place(trial)];
      if (from === null || to === null) continue;
      const distance = Math.abs(this.#y(from + (to - from) * part) - y);
      if (distance > least || !this.isSelected(trial)) continue;
      nearest = trial;
      least = distance;
    }
    return nearest;
  }
}

/** Those of the trials, the best last, of which a line is drawn. */
function drawn(trials) {
  if (trials.length <= MOST_LINES) return trials;
  return [...sample(trials.slice(0, -MOST_BEST), MOST_LINES - MOST_BEST), ...trials.slice(-MOST_BEST)];
}
