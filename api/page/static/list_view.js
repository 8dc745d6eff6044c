// How the list of jobs is looked at: filters, order, groups and columns. All of it lives in the address.

import { columnOf, DEFAULT_COLUMNS, isChosenValue } from "./columns.js";

export const LIMIT = 50;
const FILTERS = ["status", "sweep", "name", "search", "tag", "after", "limit"];
const VIEW = ["sort", "group", "column", "trials"];
const METADATA = "metadata.";

/** The address's query with what the page knows. */
export function query() {
  const known = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (FILTERS.includes(name) || VIEW.includes(name) || name.startsWith(METADATA)) known.append(name, value);
  }
  return known;
}

/** Whether any filter is set. */
export function isFiltered() {
  return [...query().keys()].some((name) => name !== "after" && name !== "limit" && !VIEW.includes(name));
}

/** The chosen columns, in order; the job's name is always one of them. */
export function chosenColumns() {
  const names = query().getAll("column");
  const columns = [...new Set(names.length ? names : DEFAULT_COLUMNS)].map(columnOf).filter(Boolean);
  return columns.some(({ name }) => name === "name") ? columns : [columnOf("name"), ...columns];
}

/** `{ column, isDescending }`; null for the newest first. */
export function chosenSort() {
  const text = query().get("sort") ?? "";
  const column = columnOf(text.replace(/^-/, ""));
  return column?.value ? { column, isDescending: text.startsWith("-") } : null;
}

/** The name of the metadata by which jobs are grouped; null for none. */
export function chosenGroup() {
  const group = query().get("group");
  return group?.startsWith(METADATA) && group.length > METADATA.length ? group.slice(METADATA.length) : null;
}

/** Whether the trials of sweeps are among the jobs, by themselves or of one sweep. */
export function hasTrials() {
  return query().has("trials") || query().has("sweep");
}

/** What GET /page/rows is asked for this view. */
export function asked() {
  const rows = query();
  for (const name of VIEW) rows.delete(name);
  if (!rows.has("limit")) rows.set("limit", LIMIT);
  const [sort, group] = [chosenSort(), chosenGroup()];
  if (group) rows.set("sort", METADATA + group);
  else if (sort?.column.isServer) rows.set("sort", query().get("sort"));
  if (!hasTrials()) rows.set("sweep", "none");
  const names = new Set(chosenColumns().map(({ name }) => name));
  if (sort) names.add(sort.column.name);
  if (group) names.add(METADATA + group);
  for (const name of names) if (isChosenValue(name)) rows.append("column", name);
  return rows;
}

/** The rows in the order of the view. The service has sorted them by the group, or by what it can sort by. */
export function sorted(jobs) {
  const [sort, group] = [chosenSort(), chosenGroup()];
  if (!sort || (sort.column.isServer && !group)) return jobs;
  const places = new Map(jobs.map((job) => [groupOf(job), 0]));
  [...places.keys()].forEach((name, place) => places.set(name, place));
  return [...jobs].sort((one, other) => places.get(groupOf(one)) - places.get(groupOf(other)) || compare(sort, one, other));
}

/** The group of a job; null without a value, and where jobs are not grouped. */
export function groupOf(job) {
  const group = chosenGroup();
  return group ? (job.values[METADATA + group] ?? null) : null;
}

/** What the order leaves out, in a sentence; empty where there is nothing to say. `isWhole`: the page has all jobs. */
export function orderNote(count, isWhole) {
  const [sort, group] = [chosenSort(), chosenGroup()];
  if (!sort) return "";
  const words = `Sorted by ${sort.column.label.toLowerCase()}`;
  if (group || !sort.column.isServer) return isWhole ? "" : `${words} within the ${count} jobs on this page.`;
  return ["best", "epoch", "finished"].includes(sort.column.name) ? `${words}: unfinished jobs come last.` : "";
}

/** The address of this query, from its first page on. */
export function addressOf(changed) {
  const kept = new URLSearchParams(changed);
  kept.delete("after");
  if (kept.get("limit") === String(LIMIT)) kept.delete("limit");
  const words = kept.toString();
  return words ? `/?${words}` : "/";
}

/** The query with the next order of a column: texts from A and numbers from the largest, then reversed, then none. */
export function withNextSort(column) {
  const changed = query();
  const now = chosenSort();
  const first = column.isNumber || column.name === "epoch" ? "-" : "";
  const steps = [`${first}${column.name}`, `${first ? "" : "-"}${column.name}`];
  const at = now?.column.name === column.name ? steps.indexOf(changed.get("sort")) : -1;
  if (at + 1 < steps.length) changed.set("sort", steps[at + 1]);
  else changed.delete("sort");
  return changed;
}

function compare({ column, isDescending }, one, other) {
  const [first, second] = [column.value(one), column.value(other)];
  if (first === null || second === null) return Number(first === null) - Number(second === null);
  const way = first < second ? -1 : first > second ? 1 : 0;
  return isDescending ? -way : way;
}
