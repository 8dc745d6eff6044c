// The view of the charts, kept in the page's address: a reload and a colleague see the same.

import { View } from "./view.js";

const AXES = ["epoch", "time"];
const SCALES = ["linear", "log"];

/** The view that the address says; the address follows it. */
export function keptView() {
  const query = new URLSearchParams(location.search);
  const smoothing = Number(query.get("smoothing"));
  return new View({
    axis: AXES.includes(query.get("x")) ? query.get("x") : "epoch",
    scale: SCALES.includes(query.get("y")) ? query.get("y") : "linear",
    smoothing: smoothing > 0 && smoothing < 1 ? smoothing : 0,
    onChange() {
      keep({ x: this.axis === "epoch" ? null : this.axis, y: this.scale === "linear" ? null : this.scale, smoothing: this.smoothing || null });
    },
  });
}

/** Change the address's query: null takes a name out. */
export function keep(values) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  const words = query.toString();
  history.replaceState(null, "", `${location.pathname}${words && `?${words}`}${location.hash}`);
}
