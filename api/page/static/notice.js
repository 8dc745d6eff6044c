// A word to the person, in a corner, read aloud by screen readers; it goes by itself.

import { byId, element } from "./dom.js";

const SECONDS = 8;

/** Say something; `tone` is good, warn or bad. The same words said again are said once. */
export function notice(text, tone = "good") {
  const shown = [...byId("notices").children].find((one) => one.dataset.text === text);
  shown?.remove();
  const close = () => note.remove();
  const button = element("button", { type: "button", class: "quiet", "aria-label": "Close", on: { click: close } }, "×");
  const note = element("div", { class: `notice ${tone}`, dataset: { text } }, element("span", {}, text), button);
  byId("notices").append(note);
  setTimeout(close, SECONDS * 1000);
}
