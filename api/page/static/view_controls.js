// How the charts of a page are looked at: by epoch or by time, linear or logarithmic, smoothed, zoomed.

import { element, replace, setText } from "./dom.js";
import { counted, number } from "./format.js";

const AXES = { epoch: "Epoch", time: "Time" };
const SCALES = { linear: "Linear", log: "Log" };

/** A row of controls for a view; `points` is where the number of points is shown. */
export function controlsOf(view) {
  const points = element("span", { class: "small muted points" });
  const reset = element("button", { type: "button", class: "quiet small", hidden: !view.zoom, on: { click: () => view.zoomTo(null) } }, "Reset zoom");
  const node = element("div", { class: "view-controls" }, [
    choice("Horizontal axis", AXES, view, "axis"),
    choice("Vertical scale", SCALES, view, "scale"),
    smoothing(view),
    reset,
    points,
  ]);
  const changed = view.onChange;
  view.onChange = () => {
    reset.hidden = !view.zoom;
    changed.call(view);
  };
  return { node, showPoints: (...counts) => setText(points, pointsInWords(...counts)) };
}

/** `samples`: how many jobs came as a sample already. */
function pointsInWords(shown, of, samples = 0) {
  if (of === 0) return "no points";
  if (samples) return `${number(shown)} points shown; ${counted(samples, "job")} sampled`;
  if (shown >= of) return `${counted(of, "point")}, each is shown`;
  return `${number(shown)} of ${number(of)} points shown, sampled; zoom in for more`;
}

function choice(label, values, view, name) {
  const group = element("div", { class: "segments", role: "group", "aria-label": label });
  const show = () =>
    replace(group, Object.entries(values).map(([value, word]) => {
      const on = { click: () => choose(value) };
      return element("button", { type: "button", "aria-pressed": String(view[name] === value), on }, word);
    }));
  const choose = (value) => {
    view.set({ [name]: value });
    show();
    group.querySelector("[aria-pressed=true]").focus();
  };
  show();
  return group;
}

function smoothing(view) {
  const output = element("output", { class: "num" }, view.smoothing ? String(view.smoothing) : "off");
  const slide = (event) => {
    view.set({ smoothing: Number(event.target.value) });
    setText(output, view.smoothing ? String(view.smoothing) : "off");
  };
  const slider = element("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: view.smoothing, on: { input: slide } });
  return element("label", { class: "smoothing" }, "Smoothing", slider, output);
}
