// A point for each trial over two axes, and a line of steps where one is given. The best trial is marked.

import { Paper, cut, sample } from "./sweep_paper.js";

const LEFT = 62;
const RIGHT = 16;
const TOP = 12;
const BOTTOM = 38;
const CLOSE = 10;
const MOST_POINTS = 2000;

/** One figure. `pick(number)` opens a trial; `onHover(number)` hears where the pointer is. */
export class Scatter {
  constructor({ height, label, pick, onHover }) {
    Object.assign(this, { pick, onHover });
    this.now = null;
    this.hovered = null;
    this.paper = new Paper({ height, label, draw: (context) => this.#draw(context), drawOver: (context) => this.#drawOver(context) });
    this.node = this.paper.node;
    const { canvas } = this.paper;
    canvas.addEventListener("pointermove", (event) => onHover(this.#nearest(event)));
    canvas.addEventListener("pointerleave", () => onHover(null));
    canvas.addEventListener("click", (event) => {
      const number = this.#nearest(event);
      if (number !== null) pick(number);
    });
  }

  /** Show `trials` over the axes `x` and `y`; `isFaint(trial)`; `best`: a number; `steps`: trials of a falling line. */
  show(now) {
    this.now = now;
    this.paper.redraw();
  }

  /** Highlight a trial; null for none. */
  hover(number) {
    if (this.hovered === number) return;
    this.hovered = number;
    this.paper.redrawOver();
  }

  #x(place) {
    return LEFT + (this.paper.width - LEFT - RIGHT) * place;
  }

  #y(place) {
    return TOP + (this.paper.height - TOP - BOTTOM) * (1 - place);
  }

  #draw(context) {
    if (!this.now) return;
    const { x, y, trials, isFaint, best, steps } = this.now;
    const faint = trials.filter(isFaint);
    const clear = trials.filter((trial) => !isFaint(trial));
    this.#drawAxes(context, x, y);
    if (steps?.length) this.#drawSteps(context, x, y, steps);
    this.#drawPoints(context, sample(faint, MOST_POINTS / 2), "--line-strong", 0.5, 2.5);
    this.#drawPoints(context, sample(clear, MOST_POINTS), "--accent", 0.75, 3.2);
    this.#drawPoints(context, trials.filter((trial) => trial.number === best), "--good", 1, 5.5);
  }

  #drawOver(context) {
    if (!this.now) return;
    this.#drawPoints(context, this.now.trials.filter((trial) => trial.number === this.hovered), "--text", 1, 5.5);
  }

  #drawPoints(context, trials, colour, alpha, radius) {
    context.fillStyle = this.paper.colour(colour);
    context.globalAlpha = alpha;
    context.beginPath();
    for (const trial of trials) {
      const point = this.#pointOf(trial);
      if (!point) continue;
      context.moveTo(point.x + radius, point.y);
      context.arc(point.x, point.y, radius, 0, 2 * Math.PI);
    }
    context.fill();
    context.globalAlpha = 1;
  }

  /** The best value so far: it stays until a trial ends that is better. */
  #drawSteps(context, x, y, steps) {
    context.strokeStyle = this.paper.colour("--good");
    context.lineWidth = 2;
    context.beginPath();
    steps.forEach((trial, index) => {
      const [left, height] = [this.#x(x.place(trial) ?? 0), this.#y(y.place(trial) ?? 0)];
      if (index === 0) context.moveTo(left, height);
      else {
        context.lineTo(left, this.#y(y.place(steps[index - 1]) ?? 0));
        context.lineTo(left, height);
      }
    });
    context.lineTo(this.#x(1), this.#y(y.place(steps.at(-1)) ?? 0));
    context.stroke();
  }

  #drawAxes(context, x, y) {
    context.strokeStyle = this.paper.colour("--line");
    context.lineWidth = 1;
    context.fillStyle = this.paper.colour("--muted");
    context.beginPath();
    for (const { at } of x.ticks) line(context, this.#x(at), this.#y(0), this.#x(at), this.#y(1));
    for (const { at } of y.ticks) line(context, this.#x(0), this.#y(at), this.#x(1), this.#y(at));
    context.stroke();
    context.textAlign = "right";
    for (const { at, words } of y.ticks) context.fillText(cut(context, words, LEFT - 12), LEFT - 8, this.#y(at) + 4);
    context.textAlign = "center";
    const room = (this.paper.width - LEFT - RIGHT) / Math.max(1, x.ticks.length);
    for (const { at, words } of x.ticks) context.fillText(cut(context, words, room), this.#x(at), this.paper.height - BOTTOM + 16);
    context.textAlign = "right";
    context.fillText(x.label, this.paper.width - RIGHT, this.paper.height - 5);
  }

  #pointOf(trial) {
    const [left, height] = [this.now.x.place(trial), this.now.y.place(trial)];
    return left === null || height === null ? null : { x: this.#x(left), y: this.#y(height) };
  }

  #nearest(event) {
    let nearest = null;
    let least = CLOSE ** 2;
    for (const trial of this.now?.trials ?? []) {
      const point = this.#pointOf(trial);
      const distance = point ? (point.x - event.offsetX) ** 2 + (point.y - event.offsetY) ** 2 : Infinity;
      if (distance > least) continue;
      nearest = trial.number;
      least = distance;
    }
    return nearest;
  }
}

function line(context, fromX, fromY, toX, toY) {
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
}
