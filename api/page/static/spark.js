// A curve as small as a word.

import { svg } from "./dom.js";

/** Nothing yet. */
export function spark() {
  return svg("svg", { width: 0, height: 0, "aria-hidden": "true" });
}
