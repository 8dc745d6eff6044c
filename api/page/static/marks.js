// What happened on the way of a run, drawn on its charts and told in a key below them.

import { element, replace, svg } from "./dom.js";

const DASH = { drop: [2, 3], interruption: [6, 4], extension: [6, 4], median: [4, 4] };
const COLOUR = {
  best: "--good",
  drop: "--muted",
  checkpoint: "--muted",
  interruption: "--bad",
  extension: "--accent",
  stop: "--text",
  forecast: "--accent",
  whatif: "--accent",
};
const WORDS = {
  best: "best model",
  drop: "learning rate reduced",
  checkpoint: "checkpoint saved",
  interruption: "resumed in another attempt",
  extension: "extended",
  stop: "stop",
  forecast: "forecast of the stop: 10 to 90 %, and the median",
  whatif: "stop with the chosen patience",
};

/** Draw what lies behind the curves: the forecast's band, and what another patience would have left out. */
export function drawBehind(plot, view, marks, place) {
  for (const mark of marks) {
    if (mark.kind === "forecast") band(plot, view, place(mark.from), place(mark.to), "--accent", 0.13);
    if (mark.kind === "whatif" && mark.last > mark.epoch) {
      band(plot, view, place(mark.epoch), place(mark.last), "--accent", 0.09);
    }
  }
}

/** Draw the marks over the curves. `labels`: whether there is room for words at the top. */
export function drawMarks(plot, view, marks, place, labels) {
  const context = plot.ctx;
  context.save();
  const taken = [];
  for (const mark of [...marks].sort((one, other) => WEIGHT[other.kind] - WEIGHT[one.kind])) {
    const x = Math.round(plot.valToPos(place(mark.epoch), "x", true));
    if (x < plot.bbox.left - 1 || x > plot.bbox.left + plot.bbox.width + 1) continue;
    context.strokeStyle = context.fillStyle = view.colour(COLOUR[mark.kind]);
    if (mark.kind === "checkpoint") diamond(plot, x);
    else line(plot, x, mark.kind);
    if (labels && mark.label) label(plot, x, mark.label, taken);
  }
  context.restore();
}

// Where two labels would lie over one another the greater one is shown.
const WEIGHT = { whatif: 8, stop: 7, best: 6, forecast: 5, interruption: 4, extension: 3, drop: 2, checkpoint: 1 };

function band(plot, view, from, to, colour, alpha) {
  const [left, right] = [from, to].map((value) => plot.valToPos(value, "x", true));
  const first = Math.max(left, plot.bbox.left);
  const last = Math.min(right, plot.bbox.left + plot.bbox.width);
  if (last <= first) return;
  plot.ctx.save();
  plot.ctx.globalAlpha = alpha;
  plot.ctx.fillStyle = view.colour(colour);
  plot.ctx.fillRect(first, plot.bbox.top, last - first, plot.bbox.height);
  plot.ctx.restore();
}

function line(plot, x, kind) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.setLineDash((kind === "forecast" ? DASH.median : (DASH[kind] ?? [])).map((length) => length * ratio));
  ctx.lineWidth = (kind === "whatif" ? 2 : 1) * ratio;
  ctx.globalAlpha = kind === "drop" ? 0.7 : 0.9;
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
}

function diamond(plot, x) {
  const size = 3.5 * devicePixelRatio;
  const y = plot.bbox.top + plot.bbox.height;
  plot.ctx.beginPath();
  plot.ctx.moveTo(x, y - size);
  plot.ctx.lineTo(x + size, y);
  plot.ctx.lineTo(x, y + size);
  plot.ctx.lineTo(x - size, y);
  plot.ctx.fill();
}

function label(plot, x, text, taken) {
  const { ctx, bbox } = plot;
  const air = 6 * devicePixelRatio;
  ctx.font = `500 ${11 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
  const width = ctx.measureText(text).width;
  const left = Math.max(bbox.left, Math.min(x - width / 2, bbox.left + bbox.width - width));
  if (taken.some(([from, to]) => left < to + air && left + width > from - air)) return;
  taken.push([left, left + width]);
  ctx.globalAlpha = 1;
  ctx.textAlign = "left";
  ctx.textBaseline = "bottom";
  ctx.fillText(text, left, bbox.top - 4 * devicePixelRatio);
}

/** Say what the marks on the charts are: only those that are there. */
export function showKey(node, marks) {
  const kinds = Object.keys(WORDS).filter((kind) => marks.some((mark) => mark.kind === kind));
  if (node.dataset.kinds === kinds.join()) return;
  node.dataset.kinds = kinds.join();
  replace(node, kinds.map((kind) => element("li", {}, glyph(kind), WORDS[kind])));
}

function glyph(kind) {
  const pen = { stroke: `var(${COLOUR[kind]})`, "stroke-width": kind === "whatif" ? 2 : 1.5 };
  const dash = kind === "forecast" ? DASH.median : DASH[kind];
  const shape =
    kind === "checkpoint"
      ? svg("path", { d: "M7 3l4 4-4 4-4-4z", fill: `var(${COLOUR[kind]})` })
      : svg("path", { d: "M7 0v14", "stroke-dasharray": dash?.join(" "), ...pen });
  const shade = kind === "forecast" || kind === "whatif";
  const back = shade ? svg("path", { d: "M1 0h12v14H1z", fill: `var(${COLOUR[kind]})`, opacity: 0.15 }) : null;
  return svg("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" }, back, shape);
}
