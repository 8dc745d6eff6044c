// What the charts of a page have in common: the axis, the scale, the smoothing, the zoom, the cursor, the colours.

import { element } from "./dom.js";
import { Slices } from "./slices.js";

// More redraws than this are not seen: fused jobs end fifty epochs in a second.
const BETWEEN_DRAWS_MS = 80;

/** Rows beyond this are thinned out before they are drawn, and the page says so. */
export const MOST_POINTS = 2000;

let views = 0;

/** One view of several charts. `onChange()` hears that somebody looks at it in another way. */
export class View {
  constructor({ axis = "epoch", scale = "linear", smoothing = 0, onChange = () => {} } = {}) {
    views += 1;
    this.key = `view-${views}`;
    this.axis = axis;
    this.scale = scale;
    this.smoothing = smoothing;
    this.onChange = onChange;
    /** The first and the last place that are shown, on the axis; null for all. */
    this.zoom = null;
    /** A place behind the last row up to which the axis reaches; null for none. */
    this.horizon = null;
    this.charts = new Set();
    this.colours = new Map();
    this.isWanted = false;
    this.isDrawing = false;
    this.drawnAt = -Infinity;
    document.addEventListener("themechange", () => {
      this.colours.clear();
      this.redraw();
    });
  }

  /** Look at it in another way: any of `axis`, `scale`, `smoothing`. */
  set(changes) {
    if (changes.axis && changes.axis !== this.axis) this.zoom = null;
    Object.assign(this, changes);
    this.onChange();
    this.redraw();
  }

  /** Show only the places from `from` to `to`; null for all. */
  zoomTo(range) {
    if (range && !(range[1] > range[0])) return;
    this.zoom = range;
    this.onChange();
    this.redraw();
  }

  /** The colour of a custom property, in the theme that is shown. */
  colour(property) {
    if (!this.colours.has(property)) {
      this.colours.set(property, resolved(property));
    }
    return this.colours.get(property);
  }

  /** Draw all charts, from the next frame on; any number of calls until then are one. */
  redraw() {
    this.isWanted = true;
    if (!this.isDrawing) void this.#drawWanted();
  }

  async #drawWanted() {
    this.isDrawing = true;
    try {
      while (this.isWanted) {
        await sleep(this.drawnAt + BETWEEN_DRAWS_MS - performance.now());
        await this.#draw();
      }
    } finally {
      this.isDrawing = false;
    }
  }

  async #draw() {
    const slices = new Slices();
    await slices.next();
    this.isWanted = false;
    for (const chart of this.charts) {
      if (slices.isOver) await slices.next();
      chart.draw();
    }
    this.drawnAt = performance.now();
  }
}

/** The property alone says both themes' colours; only as the colour of an element it is that of the one shown. */
function resolved(property) {
  const probe = document.body.appendChild(element("span", { hidden: true, style: { color: `var(${property})` } }));
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function sleep(milliseconds) {
  return milliseconds > 0 ? new Promise((done) => setTimeout(done, milliseconds)) : null;
}
