// The API keys of the service: create and revoke them. Only a key of scope admin may.

import { get, send } from "./api.js";
import { asked, confirmed, shownOnce } from "./dialogs.js";
import { byId, element, replace, setText } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./notice.js";

const TONES = { active: "good", expired: "warn", revoked: "muted" };
const SCOPES = [
  ["read", "read: see the jobs and datasets of its project"],
  ["write", "write: also upload data, and submit and delete jobs"],
  ["code", "code: also run programs on the workers"],
  ["admin", "admin: all of this in every project, and keys"],
];
// It is a variable of the API, and no file that could be revoked.
const OF_THE_ENVIRONMENT = "key_environment";

async function look() {
  const { data } = await get("/keys");
  const isShown = (key) => byId("all").checked || key.status === "active";
  replace(byId("keys"), data.filter(isShown).map(row));
}

function row(key) {
  const moment = (time, none) => element("td", { title: time ? format.moment(time) : null }, time ? format.clock(time) : none);
  const revoke = key.status === "active" && key.id !== OF_THE_ENVIRONMENT
    ? element("button", { type: "button", class: "danger", on: { click: () => attempt(() => remove(key)) } }, "Revoke", element("span", { class: "sr" }, ` key ${key.name}`))
    : null;
  return element("tr", {},
    element("th", { scope: "row" }, key.name, element("code", {}, key.id)),
    element("td", {}, key.scope),
    element("td", {}, key.project),
    element("td", {}, element("span", { class: `status ${TONES[key.status]}` }, key.status)),
    moment(key.created_at, "–"), moment(key.expires_at, "never"), moment(key.last_used_at, "–"),
    element("td", {}, revoke));
}

async function remove(key) {
  const words = `Programs and browsers that use ${key.name} are refused from now on, and links created with it become invalid.`;
  if (!(await confirmed("Revoke this key?", words, "Revoke key", "Keep key"))) return;
  await send("POST", `/keys/${key.id}/revoke`);
  await look();
  byId("create").focus();
}

async function create() {
  const error = element("p", { class: "field-error", role: "alert" });
  const form = element("form", { class: "dialog-form", novalidate: true },
    field("new-name", "Name", element("input", { id: "new-name", name: "name", autocomplete: "off", maxlength: "128" })),
    field("new-scope", "Scope", element("select", { id: "new-scope", name: "scope" }, SCOPES.map(([value, words]) => element("option", { value, selected: value === "write" }, words)))),
    field("new-project", "Project", element("input", { id: "new-project", name: "project", autocomplete: "off", value: "default" })),
    field("new-days", "Days until it expires (optional)", element("input", { id: "new-days", name: "days", inputmode: "numeric", autocomplete: "off" })),
    error,
    element("div", { class: "dialog-end" },
      element("button", { type: "button", on: { click: () => form.closest("dialog").close("") } }, "Cancel"),
      element("button", { class: "primary" }, "Create key")));
  let made = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      made = await send("POST", "/keys", bodyOf(new FormData(form)));
      form.closest("dialog").close("made");
    } catch (problem) {
      setText(error, problem.errors.length ? problem.errors.map((one) => `${labelOf(one.pointer)}: ${one.detail}`).join(" ") : problem.message);
    }
  });
  await asked("Create API key", form);
  await look();
  if (made) await shownOnce("New API key", `The key ${made.name} of the project ${made.project}. It is not shown again.`, "API key", made.key);
  byId("create").focus();
}

function field(id, words, input) {
  return [element("label", { for: id }, words), input];
}

function bodyOf(values) {
  const days = values.get("days").trim();
  const number = Number(days);
  const expiry = days ? { expires_in_days: Number.isNaN(number) ? days : number } : {};
  return { name: values.get("name").trim(), scope: values.get("scope"), project: values.get("project").trim(), ...expiry };
}

function labelOf(pointer) {
  return { "#/name": "Name", "#/project": "Project", "#/expires_in_days": "Days until it expires" }[pointer] ?? pointer;
}

function attempt(act) {
  return act().catch((problem) => notice(problem.message, "bad"));
}

byId("create").addEventListener("click", () => void attempt(create));
byId("all").addEventListener("change", () => void attempt(look));
look().then(
  () => (byId("create").hidden = false),
  (problem) => {
    setText(byId("refused"), problem.status === 403 ? "Only a key of scope admin manages keys." : problem.message);
    byId("refused").hidden = false;
  },
);
