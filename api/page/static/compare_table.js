// What differs between several jobs, and what each brought and cost; sortable.

import { differences } from "./differences.js";
import { element, replace, svg } from "./dom.js";
import { costs, duration, metric as shown, number, shortId, status } from "./format.js";
import { betterMode } from "./series.js";
import { keep } from "./url_view.js";

/** Show the jobs in a table; `update()` is called when somebody wants another order. */
export function showTable(table, jobs, { metric, pens, update }) {
  const columns = [...measured(jobs, metric), ...different(jobs)];
  const order = orderOf(columns);
  const rows = sorted(jobs.map((job, place) => ({ job, place })), order, columns);
  const focused = document.activeElement?.dataset?.column;
  const head = element("tr", {}, element("th", { scope: "col" }, "Job"), columns.map((column) => header(column, order, update)));
  const body = rows.map(({ job, place }) => element("tr", {}, jobCell(job, pens), columns.map((column) => column.cell(job, place))));
  replace(table, element("thead", {}, head), element("tbody", {}, body));
  if (focused) table.querySelector(`[data-column="${CSS.escape(focused)}"]`)?.focus();
  document.getElementById("alike").textContent = jobs.length > 1 ? "Only the fields in which the specs differ are shown." : "";
}

function orderOf(columns) {
  const [name, way] = (new URLSearchParams(location.search).get("sort") ?? "").split(":");
  return columns.some((column) => column.name === name) ? { name, isRising: way !== "falling" } : null;
}

function sorted(rows, order, columns) {
  if (!order) return rows;
  const { value } = columns.find((column) => column.name === order.name);
  const sign = order.isRising ? 1 : -1;
  return rows.toSorted((one, other) => compared(value(one.job, one.place), value(other.job, other.place), sign));
}

/** What has no value comes last either way. */
function compared(one, other, sign) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one === "number" && typeof other === "number") return sign * (one - other);
  return sign * String(one).localeCompare(String(other), "en", { numeric: true });
}

function header(column, order, update) {
  const isSorted = order?.name === column.name;
  const sort = () => {
    const way = isSorted ? !order.isRising : column.isRisingFirst !== false;
    keep({ sort: `${column.name}:${way ? "rising" : "falling"}` });
    update();
  };
  const sign = isSorted ? (order.isRising ? " ↑" : " ↓") : "";
  const button = element("button", { type: "button", "data-column": column.name, on: { click: sort } }, column.title, sign);
  const direction = isSorted ? (order.isRising ? "ascending" : "descending") : null;
  return element("th", { scope: "col", class: column.kind ?? "num", "aria-sort": direction }, button);
}

function jobCell(job, pens) {
  const { colour, dash } = pens.get(job.id);
  const pen = { stroke: `var(${colour})`, "stroke-width": 3, "stroke-dasharray": dash.join(" ") };
  const sample = svg("svg", { width: 22, height: 8, "aria-hidden": "true" }, svg("path", { d: "M0 4h22", ...pen }));
  const link = element("a", { href: `/page/jobs/${job.id}`, title: job.id }, job.name);
  return element("th", { scope: "row" }, element("div", { class: "job-cell" }, sample, link, element("span", { class: "muted small" }, shortId(job.id))));
}

/** What each job reached and took. */
function measured(jobs, metric) {
  const mode = betterMode(metric);
  const isRisingFirst = mode === "min";
  const peak = (job) => job.peak(metric)?.value ?? null;
  const values = jobs.map(peak).filter((value) => value !== null);
  const winner = values.length > 1 ? (mode === "max" ? Math.max(...values) : Math.min(...values)) : null;
  const cost = (job) => job.document.ledger?.costs[0]?.total ?? null;
  return [
    { name: "status", title: "Status", kind: "", value: (job) => job.document.status, cell: statusCell },
    figure("peak", mode === "max" ? "Highest" : "Lowest", peak, shown, { isRisingFirst, winner }),
    figure("at", "At epoch", (job) => job.peak(metric)?.epoch ?? null, number),
    figure("last", "Last", (job) => job.last(metric), shown, { isRisingFirst }),
    figure("other", mode === "max" ? "Lowest" : "Highest", (job) => job.extreme(metric, mode === "max" ? "min" : "max"), shown, { isRisingFirst: !isRisingFirst }),
    figure("epochs", "Epochs", (job) => job.epochs.at(-1) ?? null, number),
    figure("time", "Compute time", (job) => job.document.ledger?.gpu_seconds.total ?? null, duration),
    ...(jobs.some((job) => cost(job) !== null) ? [costColumn(cost)] : []),
  ];
}

function statusCell(job) {
  const { label, tone } = status(job.document.status);
  return element("td", {}, element("span", { class: `status ${tone}` }, label));
}

function figure(name, title, value, write, { isRisingFirst = true, winner = null } = {}) {
  const cell = (job) => {
    const isWinner = winner !== null && value(job) === winner;
    return element("td", { class: `num ${isWinner ? "winner" : ""}` }, write(value(job)));
  };
  return { name, title, value, cell, isRisingFirst };
}

function costColumn(value) {
  return { name: "cost", title: "Cost", value, cell: (job) => element("td", { class: "num" }, costs(job.document.ledger?.costs)) };
}

/** The places of the specs that are not the same in all; the name has a column of its own. */
function different(jobs) {
  if (jobs.length < 2) return [];
  const places = differences(jobs.map((job) => job.document.spec)).filter(({ path }) => path !== "name");
  return places.map(({ path, values }) => ({
    name: `spec.${path}`,
    title: titleOf(path, places),
    kind: "",
    value: (job, place) => sortable(values[place]),
    cell: (job, place) => element("td", { class: "differs", title: `${path}: ${values[place]}` }, values[place] === "" ? "–" : values[place]),
  }));
}

/** The last word of a path, or the last two where the last is not enough. */
function titleOf(path, places) {
  const last = (one) => one.split(".").at(-1);
  const isAlone = places.every((other) => other.path === path || last(other.path) !== last(path));
  return path.split(".").slice(isAlone ? -1 : -2).join(".");
}

function sortable(text) {
  if (text === "") return null;
  return Number.isFinite(Number(text)) ? Number(text) : text;
}
