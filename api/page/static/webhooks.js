// The webhooks of the project: add, test and delete them, and see what they got.

import { get, send } from "./api.js";
import { asked, confirmed, shownOnce } from "./dialogs.js";
import { byId, element, replace } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./notice.js";
import { Poll } from "./poll.js";

const LISTED = 10;
const MAY_WRITE = document.body.dataset.scope !== "read";
const EVENTS = [
  ["job.succeeded", "Succeeded", true],
  ["job.failed", "Failed", true],
  ["job.cancelled", "Cancelled", false],
  ["job.early_stopping", "Stopped early", false],
  ["job.worker_lost", "Worker lost", false],
  ["job.budget_nearly_used", "Budget nearly used", false],
  ["sweep.best", "Sweep has a new best trial", false],
  ["sweep.finished", "Sweep has ended", false],
];
const STATES = { delivered: ["Delivered", "good"], pending: ["Waiting", "accent"], given_up: ["Given up", "bad"] };

const poll = new Poll(read, show);

async function read() {
  const list = await get("/webhooks");
  const webhooks = await Promise.all(list.data.map((one) => get(`/webhooks/${one.id}`).catch(whereNone)));
  return { hasSender: list.has_sender, webhooks: webhooks.filter(Boolean) };
}

/** One that was deleted meanwhile. */
function whereNone(problem) {
  if (problem.status === 404) return null;
  throw problem;
}

function show({ hasSender, webhooks }) {
  byId("no-sender").hidden = hasSender || !webhooks.length;
  const focused = document.activeElement?.dataset?.act;
  const none = element("p", { class: "card empty" }, "No webhooks yet. Add an address to be notified when jobs end.");
  replace(byId("webhooks"), webhooks.length ? webhooks.map(card) : none);
  if (focused) document.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
}

function card(webhook) {
  const heading = `head-${webhook.id}`;
  const filters = [webhook.job_name && ["name", webhook.job_name], ...Object.entries(webhook.metadata)].filter(Boolean);
  return element("section", { class: "card webhook", "aria-labelledby": heading },
    element("div", { class: "card-head" },
      element("h2", { id: heading }, webhook.name ?? webhook.address),
      element("code", { class: "address muted" }, webhook.name ? webhook.address : webhook.id),
      MAY_WRITE ? element("div", { class: "end" }, button("Send test", "test", webhook, test), button("Delete webhook", "delete", webhook, remove, "danger")) : null),
    element("div", { class: "events" },
      webhook.events.map((one) => element("span", { class: "chip" }, label(one))),
      filters.map(([name, value]) => element("span", { class: "chip" }, `${name} = ${value}`))),
    webhook.deliveries.length ? deliveries(webhook) : element("p", { class: "muted small" }, "Nothing has been sent yet."));
}

function deliveries(webhook) {
  const list = webhook.deliveries.slice(0, LISTED);
  const head = ["Event", "Job", "Status", "When", "Last try"].map((name) => element("th", { scope: "col" }, name));
  return element("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": `Last deliveries of ${webhook.name ?? webhook.id}` },
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, list.map(row))));
}

function row(delivery) {
  const [words, tone] = STATES[delivery.status] ?? [delivery.status, "muted"];
  const [kind, id] = delivery.sweep ? ["sweeps", delivery.sweep] : ["jobs", delivery.job];
  const job = id ? element("a", { class: "in-text", href: `/page/${kind}/${id}` }, format.shortId(id)) : "–";
  return element("tr", {},
    element("td", {}, label(delivery.type)),
    element("td", {}, job),
    element("td", {}, element("span", { class: `status ${tone}` }, words)),
    element("td", { title: format.moment(delivery.created_at) }, format.clock(delivery.created_at)),
    element("td", {}, lastTry(delivery)));
}

function lastTry(delivery) {
  if (!delivery.tries) return "–";
  const outcome = delivery.error ?? (delivery.answer === null ? "delivered" : `answered ${delivery.answer}`);
  const again = delivery.next_try_at ? `; next at ${format.clock(delivery.next_try_at)}` : "";
  return `${delivery.tries === 1 ? "1 try" : `${delivery.tries} tries`}: ${outcome}${again}`;
}

function label(type) {
  return EVENTS.find(([name]) => name === type)?.[1] ?? (type === "test" ? "Test" : type);
}

function button(words, act, webhook, run, kind = "") {
  const click = async (event) => {
    event.target.disabled = true;
    try {
      await run(webhook);
      await poll.look();
    } catch (problem) {
      notice(problem.message, "bad");
    }
    event.target.disabled = false;
  };
  return element("button", { type: "button", class: kind, dataset: { act: `${act} ${webhook.id}` }, on: { click } }, words);
}

async function test(webhook) {
  await send("POST", `/webhooks/${webhook.id}/test`);
  notice("The test is sent within seconds.");
}

async function remove(webhook) {
  const words = "Undelivered messages are deleted, too.";
  if (!(await confirmed("Delete this webhook?", words, "Delete webhook", "Keep webhook"))) return;
  await send("DELETE", `/webhooks/${webhook.id}`);
}

async function add() {
  const error = element("p", { class: "field-error", role: "alert" });
  const form = element("form", { class: "dialog-form", novalidate: true },
    element("label", { for: "new-address" }, "Address"),
    element("input", { id: "new-address", name: "address", autocomplete: "off", required: true, "aria-describedby": "address-hint" }),
    element("p", { id: "address-hint", class: "muted small" }, "An https address, or one of Apprise: mail, Slack, Telegram and others."),
    element("label", { for: "new-name" }, "Name (optional)"),
    element("input", { id: "new-name", name: "name", autocomplete: "off", maxlength: "128" }),
    element("fieldset", {}, element("legend", {}, "Events"), EVENTS.map(check)),
    error,
    element("div", { class: "dialog-end" },
      element("button", { type: "button", on: { click: () => form.closest("dialog").close("") } }, "Cancel"),
      element("button", { class: "primary" }, "Add webhook")));
  let made = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = new FormData(form);
    const body = { address: values.get("address").trim(), name: values.get("name").trim() || null, events: values.getAll("events") };
    try {
      made = await send("POST", "/webhooks", body);
      form.closest("dialog").close("made");
    } catch (problem) {
      replace(error, problem.errors.length ? problem.errors.map((one) => `${labelOf(one.pointer)}: ${one.detail}`).join(" ") : problem.message);
    }
  });
  await asked("Add webhook", form);
  await poll.look();
  if (made?.secret) await shownOnce("Secret of the webhook", "Your receiver checks signatures with this secret. It is not shown again.", "Secret", made.secret);
  byId("add").focus();
}

function check([name, words, isChosen]) {
  return element("label", { class: "check" }, element("input", { type: "checkbox", name: "events", value: name, checked: isChosen }), words);
}

function labelOf(pointer) {
  return { "#/address": "Address", "#/name": "Name", "#/events": "Events" }[pointer] ?? pointer;
}

byId("add").hidden = !MAY_WRITE;
byId("add").addEventListener("click", () => void add());
void poll.look();
