// A button that does one thing at a time.

import { element } from "./dom.js";
import { notice } from "./notice.js";

/** A button that awaits `act` and reports its error; clicks meanwhile do nothing. */
export function actionButton(words, act, kind = "") {
  const click = async (event) => {
    // Not disabled: a disabled button cannot have the focus back when its dialog closes.
    if (event.target.ariaBusy === "true") return;
    event.target.ariaBusy = "true";
    try {
      await act();
    } catch (problem) {
      notice(problem.message, "bad");
    }
    event.target.ariaBusy = null;
  };
  return element("button", { type: "button", class: kind, on: { click } }, words);
}
