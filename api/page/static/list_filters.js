// The filters of the list of jobs: by status, by a part of the name, by metadata and by tag.

import { byId, element, replace, setAttribute } from "./dom.js";
import * as format from "./format.js";
import { hasTrials, query } from "./list_view.js";

const TYPED_MS = 250;
const TAG = "tag:";

/** Start them; `go(query, { replaces })` is called for each change. The answer shows the address's filters. */
export function startFilters(statuses, go) {
  const button = (status, label) =>
    element("button", { type: "button", "aria-pressed": "false", dataset: status ? { status } : {}, on: { click: () => toggle(statuses, status, go) } }, label);
  replace(byId("statuses"), button(null, "All"), ...statuses.map((name) => button(name, format.status(name).label)));
  byId("trials").addEventListener("click", () => toggleTrials(go));
  const field = byId("filter-text");
  let typed = null;
  field.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => search(field.value.trim(), go), TYPED_MS);
  });
  byId("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typed);
    submit(field, go);
  });
  return () => show(go);
}

function show(go) {
  const now = query();
  const chosen = now.getAll("status");
  for (const button of byId("statuses").children) {
    const { status } = button.dataset;
    setAttribute(button, "aria-pressed", String(status ? chosen.includes(status) : chosen.length === 0));
  }
  setAttribute(byId("trials"), "aria-pressed", String(hasTrials()));
  const field = byId("filter-text");
  if (document.activeElement !== field) field.value = now.get("search") ?? "";
  const chips = [...now].filter(([name]) => name === "name" || name === "sweep" || name === "tag" || name.startsWith("metadata."));
  replace(byId("filter-chips"), ...chips.map(([name, value]) => chip(name, value, go)));
}

function chip(name, value, go) {
  const without = () => {
    const changed = query();
    changed.delete(name, value);
    go(changed);
    byId("filter-text").focus();
  };
  const words = `${name.replace("metadata.", "")} = ${value}`;
  return element("span", { class: "chip" }, words, element("button", { type: "button", "aria-label": `Remove ${words}`, on: { click: without } }, "×"));
}

/** Show the trials of all sweeps, or of none. */
function toggleTrials(go) {
  const changed = query();
  const isOn = hasTrials();
  for (const name of ["trials", "sweep"]) changed.delete(name);
  if (!isOn) changed.set("trials", "shown");
  go(changed);
}

function toggle(statuses, status, go) {
  const changed = query();
  const chosen = new Set(changed.getAll("status"));
  changed.delete("status");
  if (status) {
    if (!chosen.delete(status)) chosen.add(status);
    for (const one of statuses) if (chosen.has(one)) changed.append("status", one);
  }
  go(changed);
}

/** Find a part of a name as it is typed; `key=value` and `tag:NAME` wait for Enter. */
function search(text, go) {
  const changed = query();
  if (text.includes("=") || text.startsWith(TAG) || text === (changed.get("search") ?? "")) return;
  if (text) changed.set("search", text);
  else changed.delete("search");
  // One step back in the history for a search, not one for each letter.
  go(changed, { replaces: query().has("search") });
}

/** Enter: `tag:NAME` becomes a filter by tag, `key=value` one by metadata, anything else a search. */
function submit(field, go) {
  const text = field.value.trim();
  const [name, ...value] = text.split("=");
  const changed = query();
  if (text.startsWith(TAG) && text.length > TAG.length) {
    const tag = text.slice(TAG.length).trim();
    if (!changed.getAll("tag").includes(tag)) changed.append("tag", tag);
  } else if (name && value.length) {
    changed.set(`metadata.${name}`, value.join("="));
  } else {
    return search(text, go);
  }
  changed.delete("search");
  field.value = "";
  go(changed);
}
