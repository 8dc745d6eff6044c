// A canvas that follows its width and the theme, and draws in the next frame, once for any number of calls.

import { element } from "./dom.js";

/** One canvas. `draw(context, paper)` draws it; `width` and `height` are in CSS pixels. */
export class Paper {
  constructor({ height, label, draw }) {
    this.width = 0;
    this.height = height;
    this.draw = draw;
    this.isWanted = false;
    this.colours = new Map();
    this.canvas = element("canvas", { role: "img", "aria-label": label });
    this.node = element("div", { class: "paper", style: { height: `${height}px` } }, this.canvas);
    new ResizeObserver(([{ contentRect }]) => this.#resize(contentRect.width)).observe(this.node);
    document.addEventListener("themechange", () => {
      this.colours.clear();
      this.redraw();
    });
  }

  /** Draw with the next frame. */
  redraw() {
    if (this.isWanted || !this.width) return;
    this.isWanted = true;
    requestAnimationFrame(() => this.#drawNow());
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

  #drawNow() {
    this.isWanted = false;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = `11px ${FONT}`;
    this.draw(context, this);
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
