// A curve as small as a word, for tables.

import { svg } from "./dom.js";

const WIDTH = 96;
const HEIGHT = 24;
const AIR = 3;

/**
 * A spark line in the colour of the text around it; its best value is a dot. `values`: in order, null leaves a gap;
 * `best`: the place of the best one, from 0. Hidden from screen readers: the figures stand beside it.
 */
export function spark(values, { best = null } = {}) {
  const place = placer(values);
  const lines = runs(values).map((run) => line(run.map((index) => place(index).join(","))));
  const [x, y] = Number.isFinite(values[best]) ? place(best) : [];
  const dot = x === undefined ? null : svg("circle", { cx: x, cy: y, r: 2.5, fill: "currentColor" });
  const size = { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}` };
  return svg("svg", { class: "spark", "aria-hidden": "true", ...size }, lines, dot);
}

function line(points) {
  const pen = { fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linejoin": "round", "stroke-linecap": "round" };
  // Twice the first: a line of one point would be invisible.
  return svg("polyline", { points: [points[0], ...points].join(" "), ...pen });
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
