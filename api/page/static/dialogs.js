// Asking a person before something happens.

import { element } from "./dom.js";

let count = 0;

/** Open a modal dialog with this content and answer what `dialog.close(value)` said when it closes; Escape says "". */
export function asked(title, ...content) {
  count += 1;
  const id = `dialog-title-${count}`;
  const dialog = element("dialog", { "aria-labelledby": id }, element("h2", { id }, title), content);
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

/** Show a secret that nobody can show again, selected to be copied; until the dialog is closed. */
export async function shownOnce(title, words, label, secret) {
  const field = element("input", { readonly: true, value: secret, "aria-label": label, class: "mono" });
  const form = element("form", { method: "dialog", class: "dialog-form" },
    element("p", {}, words), field,
    element("div", { class: "dialog-end" }, element("button", { class: "primary" }, "Close")));
  const closed = asked(title, form);
  field.select();
  await closed;
}

/** Whether a person confirms an act. Each button names what it does: `act` the act, `refusal` its opposite. */
export async function confirmed(title, words, act, refusal) {
  const buttons = element("form", { method: "dialog", class: "dialog-end" }, [
    element("button", { value: "" }, refusal),
    element("button", { value: "yes", class: "danger" }, act),
  ]);
  return (await asked(title, element("p", {}, words), buttons)) === "yes";
}
