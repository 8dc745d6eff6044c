// A curve as small as a word, for tables.

import { svg } from "./dom.js";

const WIDTH = 96;
const HEIGHT = 24;
const AIR = 3;

const PEN = { fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linejoin": "round", "stroke-linecap": "round" };

/** A spark line in the colour of the text around it. Hidden from screen readers: the figures stand beside it. */
export class Spark {
  constructor() {
    this.lines = [];
    this.dot = svg("circle", { r: 2.5, fill: "currentColor" });
    const size = { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}` };
    this.node = svg("svg", { class: "spark", "aria-hidden": "true", ...size }, this.dot);
  }

  /** Draw `values`, in order, where null leaves a gap, and a dot at the place of the `best` one, from 0 or null. */
  show(values, best) {
    const place = placer(values);
    const found = runs(values);
    while (this.lines.length > found.length) this.lines.pop().remove();
    while (this.lines.length < found.length) this.lines.push(this.node.insertBefore(svg("polyline", PEN), this.dot));
    found.forEach((run, number) => this.lines[number].setAttribute("points", line(run.map((index) => place(index).join(",")))));
    this.#mark(Number.isFinite(values[best]) ? place(best) : null);
  }

  #mark(point) {
    this.dot.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    this.dot.setAttribute("cx", point[0]);
    this.dot.setAttribute("cy", point[1]);
  }
}

/** The points of a line; the first one twice, as a line of one point would be invisible. */
function line(points) {
  return [points[0], ...points].join(" ");
}

function placer(values) {
  const known = values.filter(Number.isFinite);
  const least = known.reduce((one, other) => Math.min(one, other), Infinity);
  const span = known.reduce((one, other) => Math.max(one, other), -Infinity) - least;
  return (index) => [
    rounded(AIR + ((WIDTH - 2 * AIR) * index) / Math.max(1, values.length - 1)),
    rounded(span > 0 ? HEIGHT - AIR - ((HEIGHT - 2 * AIR) * (values[index] - least)) / span : HEIGHT / 2),
  ];
}

/** The stretches of neighbouring known values, as places. */
function runs(values) {
  const found = [];
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) return;
    if (index > 0 && Number.isFinite(values[index - 1])) found.at(-1).push(index);
    else found.push([index]);
  });
  return found;
}

function rounded(number) {
  return Math.round(number * 10) / 10;
}
