// What can be done with a job, by its state and by what the key may.

import { actionButton } from "./action_button.js";
import { isShared, send } from "./api.js";
import { confirmed } from "./dialogs.js";
import { byId, element, replace } from "./dom.js";
import { extend } from "./extend_dialog.js";
import { TERMINAL } from "./format.js";
import { notifyButton, reportEnd } from "./job_notify.js";
import { notice } from "./notice.js";
import { share } from "./share_dialog.js";

const MAY_WRITE = !isShared && document.body.dataset.scope !== "read";

/** Show the buttons that make sense now. */
export function showActions(job) {
  const node = byId("actions");
  const state = `${job.status} ${job.cancel_requested_at} ${Boolean(job.progress)}`;
  if (node.dataset.state === state) return;
  node.dataset.state = state;
  const again = element("a", { class: "button", href: `/page/new?like=${job.id}` }, "Copy to new job");
  const search = element("a", { class: "button", href: `/page/sweeps/new?job=${job.id}` }, "New sweep");
  replace(node, notifyButton(job), MAY_WRITE ? [writing(job), actionButton("Share job", () => share(job)), again, search] : null);
  reportEnd(job);
}

function writing(job) {
  const isOver = TERMINAL.has(job.status);
  return [
    isOver && job.progress && !job.spec.program ? actionButton("Extend job", () => extend(job)) : null,
    job.status === "failed" || job.status === "cancelled" ? actionButton("Retry job", () => retry(job)) : null,
    isOver ? actionButton("Delete job", () => remove(job), "danger") : cancelButton(job),
  ];
}

function cancelButton(job) {
  if (job.cancel_requested_at) return element("button", { type: "button", disabled: true }, "Cancelling");
  return actionButton("Cancel job", () => cancel(job), "danger");
}

async function cancel(job) {
  const words = "A running job saves its progress first. A cancelled job can be extended or retried as a new job.";
  if (!(await confirmed("Cancel this job?", words, "Cancel job", "Keep running"))) return;
  await send("POST", `/jobs/${job.id}/cancel`);
  notice("Cancellation requested.");
}

async function retry(job) {
  const tried = await send("POST", `/jobs/${job.id}/retry`);
  location.assign(`/page/jobs/${tried.id}`);
}

async function remove(job) {
  const words = "Its checkpoints, logs and curves are deleted permanently.";
  if (!(await confirmed("Delete this job?", words, "Delete job", "Keep job"))) return;
  await send("DELETE", `/jobs/${job.id}`);
  location.assign("/");
}
