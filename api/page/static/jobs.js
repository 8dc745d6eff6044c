// The table of jobs: asks for its rows again and again, and changes only what has changed.

import { getChanged } from "./api.js";
import { gridOf } from "./columns.js";
import { byId, element, replace, setAttribute, setText } from "./dom.js";
import { JobRow } from "./job_row.js";
import { startFilters } from "./list_filters.js";
import { addressOf, asked, chosenColumns, chosenGroup, chosenSort, groupOf, isFiltered, orderNote, query, sorted, withNextSort } from "./list_view.js";
import { Selection } from "./list_selection.js";
import { notice } from "./notice.js";
import { Slices } from "./slices.js";
import { noteSweeps } from "./sweeps_note.js";
import { chooseView } from "./view_dialog.js";
import * as format from "./format.js";

const STATUSES = ["running", "queued", "succeeded", "failed", "cancelled"];
const LIVE_MS = 2000;
const STILL_MS = 5000;
// A list that takes the service long is asked for less often: a tenth of the time at most.
const SHARE = 10;

const rows = new Map();
const groups = new Map();
const selection = new Selection(showPicked, () => void look());
let columns = [];
let drawn = null;
let etag = null;
let timer = null;
let asking = null;

function go(changed, { replaces = false } = {}) {
  history[replaces ? "replaceState" : "pushState"](null, "", addressOf(changed));
  begin();
}

/** Ask again, for another view than before. */
function begin() {
  etag = null;
  showFilters();
  showHead();
  void look();
}

async function look() {
  clearTimeout(timer);
  asking?.abort();
  const current = new AbortController();
  asking = current;
  const began = performance.now();
  let took = 0;
  try {
    const changed = await getChanged(`/page/rows?${asked()}`, etag, { signal: current.signal });
    took = performance.now() - began;
    if (current.signal.aborted) return;
    if (changed) {
      await show(changed.body, current.signal);
      if (current.signal.aborted) return;
      etag = changed.etag;
    } else {
      for (const row of rows.values()) row.tick();
    }
    await noteSweeps(byId("sweeps-note"));
  } catch (problem) {
    if (problem.name === "AbortError") return;
    setText(byId("summary"), problem.message);
    if (problem.errors?.length) notice(problem.errors.map((one) => `${one.pointer}: ${one.detail}`).join("\n"), "bad");
  }
  if (!document.hidden) timer = setTimeout(look, Math.max(isLive() ? LIVE_MS : STILL_MS, SHARE * took));
}

/** Show a page of rows, the first ones with this frame. Only what has changed is touched. */
async function show(page, signal) {
  const slices = new Slices();
  const jobs = sorted(page.data);
  removeAllBut(new Set(jobs.map((job) => job.id)));
  selection.refresh(jobs);
  showPager(page);
  showEmpty(page);
  showSummary(page);
  const wanted = chosenGroup() ? grouped(jobs) : jobs;
  removeGroupsBut(wanted);
  let before = byId("rows").firstElementChild;
  for (const one of wanted) {
    if (slices.isOver) {
      await slices.next();
      if (signal.aborted) return;
    }
    const node = "heading" in one ? groupRow(one) : showRow(one).node;
    if (node === before) before = before.nextElementSibling;
    else byId("rows").insertBefore(node, before);
  }
  showPicked();
}

/** The jobs with a heading before each group. */
function grouped(jobs) {
  const counts = new Map();
  for (const job of jobs) counts.set(groupOf(job), (counts.get(groupOf(job)) ?? 0) + 1);
  return jobs.flatMap((job, place) => {
    const heading = groupOf(job);
    const isFirst = place === 0 || groupOf(jobs[place - 1]) !== heading;
    return isFirst ? [{ heading, count: counts.get(heading) }, job] : [job];
  });
}

function groupRow({ heading, count }) {
  if (!groups.has(heading)) {
    const words = element("th", { role: "rowheader", scope: "rowgroup" });
    groups.set(heading, element("tr", { role: "row", class: "group" }, words));
  }
  const node = groups.get(heading);
  const value = heading === null ? `without ${chosenGroup()}` : `${chosenGroup()} = ${heading}`;
  setText(node.firstElementChild, `${value} · ${format.counted(count, "job")}`);
  return node;
}

function removeGroupsBut(wanted) {
  const there = new Set(wanted.filter((one) => "heading" in one).map((one) => one.heading));
  for (const [heading, node] of groups) {
    if (there.has(heading)) continue;
    node.remove();
    groups.delete(heading);
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
  const row = new JobRow(job, columns, (picked, isPicked) => selection.pick(picked, isPicked));
  row.pick(selection.has(job.id));
  rows.set(job.id, row);
  return row;
}

function isLive() {
  return [...rows.values()].some(({ job }) => !format.TERMINAL.has(job.status));
}

function showSummary({ data, has_more: hasMore, now }) {
  const counts = STATUSES.map((name) => [name, data.filter((job) => job.status === name).length]);
  const words = counts.filter(([, count]) => count).map(([name, count]) => `${count} ${format.status(name).label.toLowerCase()}`);
  setText(byId("summary"), words.join(" · "));
  setText(byId("spend"), spendWords(now));
  setText(byId("order-note"), orderNote(data.length, !hasMore && !query().has("after")));
}

/** What the jobs that run now cost per hour; empty where none runs. */
function spendWords({ running, unpriced, costs }) {
  if (!running) return "";
  const sum = costs.map((one) => format.money(one.per_hour, one.currency)).join(" + ");
  if (!sum) return `${format.counted(running, "job")} running, without a price`;
  return `${sum} per hour now${unpriced ? `, and ${format.counted(unpriced, "job")} without a price` : ""}`;
}

/** The head of the table. Other columns mean other rows: they are made again. */
function showHead() {
  columns = chosenColumns();
  const sort = chosenSort();
  const text = JSON.stringify([columns.map(({ name }) => name), sort?.column.name, sort?.isDescending]);
  if (text === drawn) return;
  const focused = document.activeElement?.closest?.("#head th")?.dataset.column;
  drawn = text;
  removeAllBut(new Set());
  const table = byId("jobs");
  for (const [name, value] of Object.entries(gridOf(columns))) table.style.setProperty(name, value);
  const all = element("input", { type: "checkbox", id: "pick-all", "aria-label": "Select all jobs on this page", on: { change: pickAll } });
  replace(byId("head"), element("th", { role: "columnheader", class: "pick-cell" }, element("label", { class: "pick" }, all)), columns.map((column) => headCell(column, sort)));
  if (focused) byId("head").querySelector(`[data-column="${CSS.escape(focused)}"] button`)?.focus();
}

function headCell(column, sort) {
  const kind = [column.isNumber ? "num" : "", column.name === "curve" ? "curve" : ""].filter(Boolean).join(" ");
  const isSorted = sort?.column.name === column.name;
  const way = isSorted ? (sort.isDescending ? "descending" : "ascending") : null;
  const button = () => element("button", { type: "button", class: "sort", on: { click: () => go(withNextSort(column)) } }, column.label, way ? element("span", { "aria-hidden": "true" }, sort.isDescending ? "↓" : "↑") : null);
  return element("th", { role: "columnheader", class: kind || null, "aria-sort": way, title: column.name, dataset: { column: column.name } }, column.value ? button() : column.label);
}

function pickAll(event) {
  selection.pickAll([...rows.values()].map(({ job }) => job), event.target.checked);
}

function showPicked() {
  for (const [id, row] of rows) row.pick(selection.has(id));
  const count = [...rows.keys()].filter((id) => selection.has(id)).length;
  const all = byId("pick-all");
  all.checked = count > 0 && count === rows.size;
  all.indeterminate = count > 0 && count < rows.size;
}

function showPager(page) {
  const changed = query();
  byId("newest").hidden = !changed.has("after");
  byId("older").hidden = !page.has_more;
  byId("newest").href = addressOf(changed);
  const next = addressOf(changed);
  if (page.next) byId("older").href = `${next}${next === "/" ? "?" : "&"}after=${encodeURIComponent(page.next)}`;
  const isNewestFirst = !chosenSort() && !chosenGroup();
  setText(byId("newest"), isNewestFirst ? "Newest" : "First page");
  setText(byId("older"), isNewestFirst ? "Older" : "Next page");
}

/** Within this page, so that what is selected stays. */
function turnPage(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", event.currentTarget.href);
  begin();
  byId("content").focus();
  scrollTo(0, 0);
}

function showEmpty(page) {
  const empty = byId("empty");
  empty.hidden = page.data.length > 0;
  byId("jobs").hidden = page.data.length === 0;
  if (page.data.length || empty.childElementCount) return;
  if (isFiltered() || query().has("after")) {
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

const showFilters = startFilters(STATUSES, go);
byId("view").addEventListener("click", async () => {
  try {
    const changed = await chooseView();
    if (changed) go(changed);
  } catch (problem) {
    notice(problem.message, "bad");
  }
});
for (const id of ["newest", "older"]) byId(id).addEventListener("click", turnPage);
addEventListener("popstate", begin);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : void look()));
begin();
