// The table of jobs: asks for its rows again and again, and changes only what has changed.

import { getChanged } from "./api.js";
import { byId, element, replace, setAttribute, setText } from "./dom.js";
import { JobRow } from "./job_row.js";
import { notice } from "./notice.js";
import { Slices } from "./slices.js";
import * as format from "./format.js";

const STATUSES = ["running", "queued", "succeeded", "failed", "cancelled"];
const LIVE_MS = 2000;
const STILL_MS = 5000;
const TYPED_MS = 250;
const LIMIT = 50;
const MOST_COMPARED = 20;

const rows = new Map();
const picked = new Set();
let etag = null;
let timer = null;
let asking = null;

/** The filters, which live in the address. */
function filters() {
  const query = new URLSearchParams(location.search);
  const kept = new URLSearchParams();
  for (const [name, value] of query) {
    if (["status", "name", "search", "after", "limit"].includes(name) || name.startsWith("metadata.")) kept.append(name, value);
  }
  if (!kept.has("limit")) kept.set("limit", LIMIT);
  return kept;
}

function go(query, { replaces = false } = {}) {
  query.delete("after");
  if (query.get("limit") === String(LIMIT)) query.delete("limit");
  const text = query.toString();
  history[replaces ? "replaceState" : "pushState"](null, "", text ? `/?${text}` : "/");
  begin();
}

/** Ask again, for other filters than before. */
function begin() {
  etag = null;
  showFilters();
  void look();
}

async function look() {
  clearTimeout(timer);
  asking?.abort();
  const asked = new AbortController();
  asking = asked;
  try {
    const changed = await getChanged(`/page/rows?${filters()}`, etag, { signal: asked.signal });
    if (asked.signal.aborted) return;
    if (changed) {
      await show(changed.body, asked.signal);
      if (asked.signal.aborted) return;
      etag = changed.etag;
    } else {
      showAges();
    }
  } catch (problem) {
    if (problem.name === "AbortError") return;
    setText(byId("summary"), problem.message);
    if (problem.errors?.length) notice(problem.errors.map((one) => `${one.pointer}: ${one.detail}`).join("\n"), "bad");
  }
  if (!document.hidden) timer = setTimeout(look, isLive() ? LIVE_MS : STILL_MS);
}

/** Show a page of rows, the first ones with this frame. Only what has changed is touched. */
async function show(page, signal) {
  const slices = new Slices();
  removeAllBut(new Set(page.data.map((job) => job.id)));
  showPager(page);
  showEmpty(page);
  setText(byId("summary"), summary(page.data));
  let before = byId("rows").firstElementChild;
  for (const job of page.data) {
    if (slices.isOver) {
      await slices.next();
      if (signal.aborted) return;
    }
    const { node } = showRow(job);
    if (node === before) before = before.nextElementSibling;
    else byId("rows").insertBefore(node, before);
  }
}

function removeAllBut(there) {
  for (const [id, row] of rows) {
    if (there.has(id)) continue;
    row.remove();
    rows.delete(id);
  }
}

function showRow(job) {
  const known = rows.get(job.id);
  if (known) {
    known.update(job);
    return known;
  }
  const row = new JobRow(job, pick);
  row.pick(picked.has(job.id));
  rows.set(job.id, row);
  return row;
}

function showAges() {
  for (const row of rows.values()) row.showAge();
}

function isLive() {
  return [...rows.values()].some(({ job }) => job.status === "running" || job.status === "queued");
}

function summary(jobs) {
  const counts = STATUSES.map((name) => [name, jobs.filter((job) => job.status === name).length]);
  return counts.filter(([, count]) => count).map(([name, count]) => `${count} ${format.status(name).label.toLowerCase()}`).join(" · ");
}

function pick(id, isPicked) {
  if (isPicked) picked.add(id);
  else picked.delete(id);
  const isPossible = picked.size >= 2 && picked.size <= MOST_COMPARED;
  const link = byId("compare");
  setText(link, picked.size > MOST_COMPARED ? `Compare (maximum ${MOST_COMPARED})` : picked.size ? `Compare (${picked.size})` : "Compare");
  setAttribute(link, "aria-disabled", isPossible ? null : "true");
  setAttribute(link, "tabindex", isPossible ? null : "-1");
  link.href = `/page/compare?${new URLSearchParams([...picked].map((one) => ["job", one]))}`;
}

function showPager(page) {
  const query = filters();
  byId("newest").hidden = !query.has("after");
  byId("older").hidden = !page.has_more;
  query.delete("limit");
  const last = page.data.at(-1)?.id;
  query.delete("after");
  byId("newest").href = query.size ? `/?${query}` : "/";
  if (last) query.set("after", last);
  byId("older").href = `/?${query}`;
}

function showEmpty(page) {
  const empty = byId("empty");
  empty.hidden = page.data.length > 0;
  byId("jobs").hidden = page.data.length === 0;
  if (page.data.length || empty.childElementCount) return;
  if (new URLSearchParams(location.search).size) {
    replace(empty, element("p", {}, "No job matches the filters."), element("a", { class: "button", href: "/" }, "Show all jobs"));
  } else {
    replace(empty, ...firstJob());
  }
}

function firstJob() {
  const spec = '{"dataset": {"id": "wine-quality", "target": "quality", "positive": {"at_least": 6}}}';
  return [
    element("h2", {}, "No jobs yet"),
    element("p", {}, "Post the first one from the ", element("a", { href: "/page/new" }, "form"), ", or from a terminal:"),
    element("pre", { tabindex: "0" },
      `fitstop datasets put wine-quality winequalityN.csv\necho '${spec}' | fitstop submit - --watch\n\n` +
      `# or with curl, where KEY is your API key\n` +
      `curl -H "Authorization: Bearer $KEY" -T winequalityN.csv ${location.origin}/datasets/wine-quality\n` +
      `curl -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' ${location.origin}/jobs \\\n  -d '${spec}'`),
  ];
}

function showFilters() {
  const query = filters();
  const chosen = query.getAll("status");
  for (const button of byId("statuses").children) {
    const { status } = button.dataset;
    setAttribute(button, "aria-pressed", String(status ? chosen.includes(status) : chosen.length === 0));
  }
  const field = byId("filter-text");
  if (document.activeElement !== field) field.value = query.get("search") ?? "";
  const chips = [...query].filter(([name]) => name === "name" || name.startsWith("metadata."));
  replace(byId("filter-chips"), ...chips.map(([name, value]) => chip(name, value)));
}

function chip(name, value) {
  const without = () => {
    const query = filters();
    query.delete(name);
    go(query);
  };
  const words = `${name.replace("metadata.", "")} = ${value}`;
  return element("span", { class: "chip" }, words, element("button", { type: "button", "aria-label": `Remove ${words}`, on: { click: without } }, "×"));
}

function toggle(status) {
  const query = filters();
  const chosen = new Set(query.getAll("status"));
  query.delete("status");
  if (status) {
    if (!chosen.delete(status)) chosen.add(status);
    for (const one of STATUSES) if (chosen.has(one)) query.append("status", one);
  }
  go(query);
}

/** Find a part of a name as it is typed; `key=value` waits for Enter, and becomes a filter of the metadata. */
function search(text) {
  const query = filters();
  if (text.includes("=") || text === (query.get("search") ?? "")) return;
  if (text) query.set("search", text);
  else query.delete("search");
  // One step back in the history for a search, not one for each letter.
  go(query, { replaces: new URLSearchParams(location.search).has("search") });
}

function startFilters() {
  const button = (status, label) =>
    element("button", { type: "button", "aria-pressed": "false", dataset: status ? { status } : {}, on: { click: () => toggle(status) } }, label);
  replace(byId("statuses"), button(null, "All"), ...STATUSES.map((name) => button(name, format.status(name).label)));
  const field = byId("filter-text");
  let typed = null;
  field.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => search(field.value.trim()), TYPED_MS);
  });
  byId("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typed);
    const [name, ...value] = field.value.trim().split("=");
    if (!name || !value.length) return search(name);
    const query = filters();
    query.set(`metadata.${name}`, value.join("="));
    query.delete("search");
    field.value = "";
    go(query);
  });
}

startFilters();
addEventListener("popstate", begin);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : void look()));
begin();
