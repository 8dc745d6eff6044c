// A canvas that follows its width and the theme, and draws in the next frame, once for any number of calls. What is
// under the pointer is drawn on a second one above it: to draw thousands of trials again would make the pointer stutter.

import { element } from "./dom.js";

/** `draw(context)` draws the canvas, `drawOver(context)` the one above; `width` and `height` are in CSS pixels. */
export class Paper {
  constructor({ height, label, draw, drawOver }) {
    this.width = 0;
    this.height = height;
    this.wanted = new Set();
    this.colours = new Map();
    this.canvas = element("canvas", { role: "img", "aria-label": label });
    this.over = element("canvas", { class: "over", "aria-hidden": "true" });
    this.layers = [[this.canvas, draw], [this.over, drawOver]];
    this.node = element("div", { class: "paper", style: { height: `${height}px` } }, this.canvas, this.over);
    new ResizeObserver(([{ contentRect }]) => this.#resize(contentRect.width)).observe(this.node);
    document.addEventListener("themechange", () => {
      this.colours.clear();
      this.redraw();
    });
  }

  /** Draw all with the next frame. */
  redraw() {
    for (const [canvas] of this.layers) this.#want(canvas);
  }

  /** Draw what is under the pointer with the next frame. */
  redrawOver() {
    this.#want(this.over);
  }

  /** The colour of a custom property in the theme that is shown. */
  colour(property) {
    if (!this.colours.has(property)) {
      const probe = this.node.appendChild(element("span", { hidden: true, style: { color: `var(${property})` } }));
      this.colours.set(property, getComputedStyle(probe).color);
      probe.remove();
    }
    return this.colours.get(property);
  }

  /** Where a pointer is, in CSS pixels of the canvas. */
  pointOf(event) {
    return { x: event.offsetX, y: event.offsetY };
  }

  #resize(width) {
    this.width = width;
    this.redraw();
  }

  #want(canvas) {
    if (!this.width) return;
    if (!this.wanted.size) requestAnimationFrame(() => this.#drawNow());
    this.wanted.add(canvas);
  }

  #drawNow() {
    const wanted = this.layers.filter(([canvas]) => this.wanted.has(canvas));
    this.wanted.clear();
    for (const [canvas, draw] of wanted) draw(this.#clear(canvas));
  }

  #clear(canvas) {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = `11px ${FONT}`;
    return context;
  }
}

const FONT = '"Inter", system-ui, "Liberation Sans", sans-serif';

/** `text`, cut to `width` pixels. */
export function cut(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length)}…`;
}

/** About `most` of the trials, every n-th by number: the same ones stay when others come. */
export function sample(trials, most) {
  const every = Math.ceil(trials.length / most);
  return every > 1 ? trials.filter((trial) => trial.number % every === 0) : trials;
}
