// Extending a sweep: more trials or more budget for the same sweep, which runs again where it had ended.

import { send } from "./api.js";
import { BUDGET_LABELS, budgetFields, changedBudget, field, numeric, problemLines } from "./budget_fields.js";
import { asked } from "./dialogs.js";
import { element, replace } from "./dom.js";
import { notice } from "./notice.js";

const LABELS = { "#/trials": "Max trials", ...BUDGET_LABELS };

/** Ask for the new totals, and post them. `onChange()` hears that the sweep was extended. */
export async function extendSweep(sweep, onChange) {
  const { trials, budget } = sweep.spec;
  const problems = element("div", { class: "field-error", role: "alert" });
  const post = async (event) => {
    event.preventDefault();
    const dialog = event.target.closest("dialog");
    try {
      await send("POST", `/sweeps/${sweep.id}/extend`, body(event.target.elements, trials));
      dialog.close("yes");
      notice("The sweep was extended.");
      onChange();
    } catch (problem) {
      replace(problems, problemLines(problem, LABELS));
    }
  };
  const form = element("form", { method: "dialog", class: "extend-form", on: { submit: post } }, [
    field("Max trials", numeric("trials", trials, { min: 1, required: true })),
    budgetFields(budget),
    problems,
    element("div", { class: "dialog-end" }, [
      // No submit button: Enter in a field is the act.
      element("button", { type: "button", on: { click: (event) => event.target.closest("dialog").close("") } }, "Close"),
      element("button", { value: "yes", class: "primary" }, "Extend sweep"),
    ]),
  ]);
  await asked("Extend this sweep", element("p", { class: "muted" }, "Values are totals. Clear a limit to remove it."), form);
}

function body(fields, before) {
  const trials = Number(fields.trials.value);
  return { ...(trials === before ? {} : { trials }), ...changedBudget(fields) };
}
