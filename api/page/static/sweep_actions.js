// What can be done with a sweep: cancel or delete it, open its best trial, train that again from another seed.

import { actionButton } from "./action_button.js";
import { get, send } from "./api.js";
import { confirmed } from "./dialogs.js";
import { byId, element, replace } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./notice.js";
import { extendSweep } from "./sweep_extend.js";
import { wordsOf } from "./sweep_space.js";

const MAY_WRITE = document.body.dataset.scope !== "read";
const MOST_SEED = 2 ** 31;
const EXTENDED = new Set(["running", "succeeded"]);

/** The buttons that make sense now; `onChange()` hears that something was done. */
export function showActions(sweep, onChange) {
  const isOver = format.TERMINAL.has(sweep.status);
  const state = `${sweep.status} ${sweep.cancel_requested_at} ${sweep.extensions}`;
  if (!MAY_WRITE || byId("actions").dataset.state === state) return;
  byId("actions").dataset.state = state;
  const cancel = actionButton("Cancel sweep", () => cancelSweep(sweep, onChange), "danger");
  const requested = element("button", { type: "button", disabled: true }, "Cancelling");
  const canExtend = !sweep.cancel_requested_at && EXTENDED.has(sweep.status);
  replace(byId("actions"),
    canExtend ? actionButton("Extend sweep", () => extendSweep(sweep, onChange)) : null,
    isOver ? actionButton("Delete sweep", () => deleteSweep(sweep), "danger") : sweep.cancel_requested_at ? requested : cancel);
}

/** The best trial: its value, its parameters, its job, and the same again from another seed. */
export function showWinner(sweep, names) {
  const { best } = sweep;
  byId("winner").hidden = best === null;
  if (best === null) return;
  const pairs = [["Trial", format.number(best.number)], [sweep.objective.monitor, format.metric(best.value)], ...[...names].map(([pointer, name]) => [name, wordsOf(best.parameters[pointer])])];
  replace(byId("winner-facts"), pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  const node = byId("winner-actions");
  if (node.dataset.job === best.job) return;
  node.dataset.job = best.job;
  const canRetrain = MAY_WRITE && !sweep.spec.job.program;
  replace(node,
    element("a", { class: "button", href: `/page/jobs/${best.job}` }, "Open job"),
    canRetrain ? actionButton("Retrain from another seed", () => retrain(best)) : null);
}

async function retrain(best) {
  const { spec } = await get(`/jobs/${best.job}`);
  const seed = Math.floor(Math.random() * MOST_SEED);
  const again = { ...spec, name: spec.name, hyperparameters: { ...spec.hyperparameters, seed } };
  const posted = await send("POST", "/jobs", again);
  location.assign(`/page/jobs/${posted.id}`);
}

async function cancelSweep(sweep, onChange) {
  const words = "Its running trials save their progress first. Finished trials stay.";
  if (!(await confirmed("Cancel this sweep?", words, "Cancel sweep", "Keep running"))) return;
  await send("POST", `/sweeps/${sweep.id}/cancel`);
  notice("Cancellation requested.");
  onChange();
}

async function deleteSweep(sweep) {
  const words = "The jobs of its trials stay, with their models.";
  if (!(await confirmed("Delete this sweep?", words, "Delete sweep", "Keep sweep"))) return;
  await send("DELETE", `/sweeps/${sweep.id}`);
  location.assign("/page/sweeps");
}
