// Beside the list of jobs, which leaves trials out: the sweeps that run.

import { get } from "./api.js";
import { element, replace } from "./dom.js";
import * as format from "./format.js";
import { hasTrials } from "./list_view.js";

const LOOK_MS = 5000;

let lookedAt = -Infinity;

/** Show in `node` which sweeps run, as they are now or were seconds ago. */
export async function noteSweeps(node) {
  node.hidden = hasTrials();
  if (node.hidden || performance.now() - lookedAt < LOOK_MS) return;
  lookedAt = performance.now();
  const sweeps = (await get("/sweeps?limit=100")).data.filter((one) => !format.TERMINAL.has(one.status));
  const [only, ...others] = sweeps;
  const link = (href, words) => element("a", { class: "in-text", href }, words);
  if (!only) replace(node);
  else if (others.length) replace(node, link("/page/sweeps", `${format.number(sweeps.length)} sweeps running`));
  else replace(node, "Sweep running: ", link(`/page/sweeps/${only.id}`, only.name));
}
