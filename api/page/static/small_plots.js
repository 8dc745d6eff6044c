// Small plots that do not move: a curve from 0 to 1, bars, points. Each says in words what it shows.

import { element, svg } from "./dom.js";
import { metric, number } from "./format.js";

const SIZE = 220;
const EDGE = 30;
const INNER = SIZE - EDGE - 8;
const PEN = { fill: "none", stroke: "var(--series-1)", "stroke-width": 2 };

/** ROC curve. */
export function rocPlot({ auc, false_positive_rate: x, true_positive_rate: y }) {
  const curve = svg("polyline", { points: x.map((one, index) => `${across(one)},${up(y[index])}`).join(" "), ...PEN });
  return plot("ROC curve", `AUC ${metric(auc)}`, ["false positive rate", "true positive rate"], ["0", "1"], ["0", "1"], diagonal(), curve);
}

/** Calibration: predicted probability and what is true of it. */
export function calibrationPlot(bins) {
  const points = bins.map((one) => svg("circle", { cx: across(one.mean_predicted), cy: up(one.fraction_positive), r: 3, fill: "var(--series-1)" }, svg("title", {}, `${number(one.rows)} rows: predicted ${metric(one.mean_predicted)}, true ${metric(one.fraction_positive)}`)));
  const curve = svg("polyline", { points: bins.map((one) => `${across(one.mean_predicted)},${up(one.fraction_positive)}`).join(" "), ...PEN });
  return plot("Calibration", "on the diagonal: as often true as predicted", ["predicted probability", "fraction positive"], ["0", "1"], ["0", "1"], diagonal(), curve, points);
}

/** Distribution of the residuals. */
export function histogramPlot({ edges, rows, mean, std }) {
  const most = Math.max(...rows, 1);
  const width = INNER / rows.length;
  const bars = rows.map((count, index) => svg("rect", { x: EDGE + index * width, y: up(count / most), width: Math.max(width - 1, 0.5), height: INNER - (up(count / most) - 8), fill: "var(--series-1)" }));
  const ends = [edges[0], edges.at(-1)].map((one) => number(one, 2));
  return plot("Residuals", `mean ${metric(mean)}, standard deviation ${metric(std)}`, ["true minus predicted", "rows"], ends, ["0", number(most)], bars);
}

/** True and predicted values of some rows. */
export function pairsPlot(pairs) {
  const values = pairs.flat();
  const least = Math.min(...values);
  const span = Math.max(...values) - least || 1;
  const points = pairs.map(([x, y]) => svg("circle", { cx: across((x - least) / span), cy: up((y - least) / span), r: 2, fill: "var(--series-1)", "fill-opacity": 0.6 }));
  const ends = [least, least + span].map((one) => number(one, 2));
  return plot("Predicted and true", "on the diagonal: predicted exactly", ["true", "predicted"], ends, ends, diagonal(), points);
}

function plot(title, words, [below, beside], xEnds, yEnds, ...content) {
  const frame = svg("rect", { x: EDGE, y: 8, width: INNER, height: INNER, fill: "none", stroke: "var(--line)" });
  const texts = [
    label(EDGE, SIZE - 8, "start", xEnds[0]), label(EDGE + INNER, SIZE - 8, "end", xEnds[1]), label(EDGE + INNER / 2, SIZE - 8, "middle", below),
    label(EDGE - 4, 8 + INNER, "end", yEnds[0]), label(EDGE - 4, 18, "end", yEnds[1]),
    svg("text", { transform: `translate(${EDGE - 16} ${8 + INNER / 2}) rotate(-90)`, "text-anchor": "middle" }, beside),
  ];
  const drawing = svg("svg", { class: "small-plot", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": `${title}: ${words}` }, frame, content, texts);
  return element("figure", {}, element("figcaption", {}, element("b", {}, title), element("span", { class: "muted small" }, ` ${words}`)), drawing);
}

function label(x, y, anchor, text) {
  return svg("text", { x, y, "text-anchor": anchor }, text);
}

function diagonal() {
  return svg("line", { x1: across(0), y1: up(0), x2: across(1), y2: up(1), stroke: "var(--line-strong)", "stroke-dasharray": "3 3" });
}

function across(share) {
  return EDGE + share * INNER;
}

function up(share) {
  return 8 + (1 - share) * INNER;
}
