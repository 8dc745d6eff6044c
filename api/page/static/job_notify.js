// A notification of the browser when the job of this page ends: asked for on a click, and only while the page is open.

import { element, setAttribute } from "./dom.js";
import { notice } from "./notice.js";

const ENDS = { succeeded: "has succeeded", failed: "has failed", cancelled: "was cancelled" };

let isWanted = false;

/** The button while the job has not ended; null where the browser shows no notifications, such as over plain http. */
export function notifyButton(job) {
  if (job.status in ENDS || !window.isSecureContext || !("Notification" in window)) return null;
  const on = { click: (event) => void toggle(event.currentTarget) };
  return element("button", { type: "button", "aria-pressed": String(isWanted), on }, words());
}

/** Show the notification where somebody asked for it and the job has ended; once. */
export function reportEnd(job) {
  if (!isWanted || !(job.status in ENDS)) return;
  isWanted = false;
  const body = job.error?.message ?? (job.stop?.last_epoch ? `Stopped after epoch ${job.stop.last_epoch}.` : "");
  const note = new Notification(`${job.name} ${ENDS[job.status]}`, { body, tag: job.id, icon: "/page/static/icon.svg" });
  note.addEventListener("click", () => window.focus());
}

async function toggle(button) {
  if (!isWanted && (await Notification.requestPermission()) !== "granted") {
    notice("The browser blocks notifications of this site. Allow them in the settings of the site.", "warn");
    return;
  }
  isWanted = !isWanted;
  setAttribute(button, "aria-pressed", isWanted);
  button.textContent = words();
}

function words() {
  return isWanted ? "Notifies you" : "Notify me";
}
