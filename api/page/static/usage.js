// Compute time: the sums of GET /usage as bars, and the same as a table. Quotas of the key's project.

import { get } from "./api.js";
import { byId, element, replace, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./notice.js";

const GROUPS = [["day", "Day"], ["dataset", "Dataset"], ["key", "Key"], ["worker", "Worker"]];
// Any other key sees one project.
if (document.body.dataset.scope === "admin") GROUPS.push(["project", "Project"]);
const PERIODS = [7, 30, 90];
const DAY_MS = 86_400_000;

function chosen() {
  const query = new URLSearchParams(location.search);
  const by = GROUPS.some(([name]) => name === query.get("by")) ? query.get("by") : "day";
  const days = PERIODS.includes(Number(query.get("days"))) ? Number(query.get("days")) : 30;
  return { by, days };
}

function go(change) {
  history.pushState(null, "", `/page/usage?${new URLSearchParams({ ...chosen(), ...change })}`);
  void look();
}

async function look() {
  const { by, days } = chosen();
  showControls(by, days);
  const first = new Date(Date.now() - (days - 1) * DAY_MS).toISOString().slice(0, 10);
  try {
    const usage = await get(`/usage?${new URLSearchParams({ by, from: first })}`);
    if (chosen().by === by && chosen().days === days) show(usage);
  } catch (problem) {
    notice(problem.message, "bad");
  }
}

async function lookAtQuotas() {
  try {
    showQuotas((await get("/limits")).project);
  } catch (problem) {
    notice(problem.message, "bad");
  }
}

function showQuotas(project) {
  const month = `in ${project.month} (UTC)`;
  const quotas = [
    ["Bytes held", project.bytes, format.bytes, "datasets and jobs"],
    ["Unfinished jobs", project.unfinished_jobs, format.number, "now"],
    ["Compute time", project.gpu_seconds_per_month, format.duration, month],
    ["Cost", project.cost_per_month, (amount) => format.money(amount, project.currency), month],
  ].filter(([, quota]) => quota !== null);
  setText(byId("quotas-head"), `Quotas of the project ${project.name}`);
  replace(byId("quota-facts"), quotas.map(([name, quota, words, note]) => fact(name, `${words(quota.used)} of ${words(quota.limit)}`, note)));
  byId("quotas").hidden = quotas.length === 0;
}

function showControls(by, days) {
  const button = (label, isChosen, change) =>
    element("button", { type: "button", "aria-pressed": String(isChosen), on: { click: () => go(change) } }, label);
  replace(byId("by"), GROUPS.map(([name, label]) => button(label, name === by, { by: name })));
  replace(byId("days"), PERIODS.map((count) => button(`${count} days`, count === days, { days: count })));
}

function show(usage) {
  setText(byId("period-words"), `jobs that finished from ${usage.from} to ${usage.to} (UTC)`);
  replace(byId("facts"), factsOf(usage.total));
  replace(byId("legend"), format.PARTS.map((part) => element("span", {}, swatch(part.colour), part.label)));
  const isDays = usage.by === "day";
  replace(byId("chart"), usage.data.length === 0 ? element("p", { class: "muted" }, "No job finished in this period.") : isDays ? columns(usage) : stacks(usage));
  replace(byId("table"), tableOf(usage));
}

function factsOf(total) {
  const seconds = total.gpu_seconds;
  const cost = (part) => (total.costs.length ? format.costs(total.costs, part) : null);
  const part = (name) => (seconds.total ? `${format.percent(seconds[name] / seconds.total)} of it` : null);
  return [
    fact("Jobs ended", format.number(total.jobs), null),
    fact("Compute time", format.duration(seconds.total), cost("total")),
    fact("Learning", format.duration(seconds.learning), part("learning"), "--part-learning"),
    fact("Patience", format.duration(seconds.patience), part("patience"), "--part-patience"),
    fact("Redone", format.duration(seconds.redone), part("redone"), "--part-redone"),
    fact("Avoided by stopping", format.duration(total.avoided.gpu_seconds), [format.counted(total.avoided.epochs, "epoch"), cost("avoided")].filter(Boolean).join(" · ")),
  ];
}

function fact(name, value, note, colour = null) {
  return element("div", { class: "fact" }, element("dt", {}, colour ? swatch(colour) : null, name), element("dd", {}, value), element("dd", { class: "note" }, note ?? "\u00a0"));
}

function swatch(colour) {
  return element("span", { class: "swatch", style: { color: `var(${colour})` } });
}

/** A column for each day of the period, also for those on which nothing ended. */
function columns(usage) {
  const byDay = new Map(usage.data.map((row) => [row.day, row]));
  const days = [];
  for (let time = Date.parse(usage.from); time <= Date.parse(usage.to); time += DAY_MS) days.push(new Date(time).toISOString().slice(0, 10));
  const most = Math.max(...usage.data.map((row) => row.gpu_seconds.total));
  const made = days.map((day) => {
    const row = byDay.get(day);
    const parts = row ? [...format.PARTS].reverse().map((part) => piece(part, "height", row.gpu_seconds[part.name] / most)) : null;
    return element("div", { class: "column", title: row ? words(day, row) : `${day}: no job finished` }, parts);
  });
  return [
    element("div", { class: "scale" }, `to ${format.duration(most)} a day`),
    element("div", { class: "columns", role: "img", "aria-label": "Compute time of each day; the table below has the figures" }, made),
    element("div", { class: "axis", "aria-hidden": "true" }, element("span", {}, days[0]), element("span", {}, days.at(-1))),
  ];
}

function stacks(usage) {
  const most = Math.max(...usage.data.map((row) => row.gpu_seconds.total));
  const sorted = [...usage.data].sort((one, other) => other.gpu_seconds.total - one.gpu_seconds.total);
  return element("div", { class: "stacks" }, sorted.map((row) => {
    const { total } = row.gpu_seconds;
    const pieces = format.PARTS.map((part) => piece(part, "width", total ? row.gpu_seconds[part.name] / most : 0));
    return [
      element("span", { class: "name", title: row[usage.by] }, row[usage.by]),
      element("div", { class: "stack", role: "img", "aria-label": words(row[usage.by], row), title: words(row[usage.by], row) }, pieces),
      element("span", { class: "num muted small" }, format.duration(total)),
    ];
  }));
}

function piece(part, side, share) {
  return element("span", { style: { [side]: `${(100 * share).toFixed(2)}%`, background: `var(${part.colour})` } });
}

function words(name, row) {
  const parts = format.PARTS.map((part) => `${part.label.toLowerCase()} ${format.duration(row.gpu_seconds[part.name])}`);
  return `${name}: ${format.duration(row.gpu_seconds.total)} (${parts.join(", ")})`;
}

function tableOf(usage) {
  const label = GROUPS.find(([name]) => name === usage.by)[1];
  const isPriced = usage.total.costs.length > 0;
  const head = [label, "Jobs", "Compute time", ...format.PARTS.map((part) => part.label), "Waiting", "Avoided", ...(isPriced ? ["Cost", "Cost avoided"] : [])];
  const cells = (row) => [
    format.number(row.jobs),
    format.duration(row.gpu_seconds.total),
    ...format.PARTS.map((part) => format.duration(row.gpu_seconds[part.name])),
    format.duration(row.waiting_seconds),
    format.duration(row.avoided.gpu_seconds),
    ...(isPriced ? [format.costs(row.costs), format.costs(row.costs, "avoided")] : []),
  ];
  const line = (name, row) => element("tr", {}, element("th", { scope: "row" }, name), cells(row).map((text) => element("td", { class: "num" }, text)));
  const rows = usage.by === "day" ? [...usage.data].reverse() : usage.data;
  return [
    element("thead", {}, element("tr", {}, head.map((name, index) => element("th", { scope: "col", class: index ? "num" : null }, name)))),
    element("tbody", {}, rows.map((row) => line(row[usage.by], row))),
    element("tfoot", {}, line("All", usage.total)),
  ];
}

addEventListener("popstate", () => void look());
setAttribute(byId("facts"), "aria-label", "Together");
void look();
void lookAtQuotas();
