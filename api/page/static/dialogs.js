// Asking a person before something happens.

import { element } from "./dom.js";

/** Open a modal dialog with this content and answer what `dialog.close(value)` said when it closes; Escape says "". */
export function asked(title, ...content) {
  const heading = element("h2", { id: "dialog-title" }, title);
  const dialog = element("dialog", { "aria-labelledby": "dialog-title" }, heading, content);
  const opener = document.activeElement;
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      opener?.focus();
      done(dialog.returnValue);
    });
  });
}

/** Whether a person confirms an act. Each button names what it does: `act` the act, `refusal` its opposite. */
export async function confirmed(title, words, act, refusal) {
  const buttons = element("form", { method: "dialog", class: "dialog-end" }, [
    element("button", { value: "" }, refusal),
    element("button", { value: "yes", class: "danger" }, act),
  ]);
  return (await asked(title, element("p", {}, words), buttons)) === "yes";
}
