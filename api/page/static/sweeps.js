// The table of sweeps, newest first.

import { get } from "./api.js";
import { byId, element, replace, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./notice.js";

const LOOK_MS = 3000;
const LIMIT = 50;
const EXAMPLE = "fitstop sweep sweep.yaml --watch";

let timer = null;
let shown = null;

async function look() {
  clearTimeout(timer);
  const after = new URLSearchParams(location.search).get("after");
  try {
    const page = await get(`/sweeps?${new URLSearchParams({ limit: LIMIT, ...(after ? { after } : {}) })}`);
    const text = JSON.stringify(page);
    if (text !== shown) show(page, after);
    shown = text;
  } catch (problem) {
    notice(problem.message, "bad");
  }
  if (!document.hidden) timer = setTimeout(look, LOOK_MS);
}

function show(page, after) {
  const running = page.data.filter((one) => !format.TERMINAL.has(one.status)).length;
  setText(byId("summary"), running ? `${running} running` : "");
  replace(byId("rows"), page.data.map(row));
  byId("empty").hidden = page.data.length > 0;
  replace(byId("empty"), "A sweep tries many settings of a job within one budget. ", element("pre", {}, EXAMPLE));
  byId("newest").hidden = !after;
  byId("older").hidden = !page.has_more;
  if (page.has_more) setAttribute(byId("older"), "href", `/page/sweeps?after=${page.data.at(-1).id}`);
}

function row(sweep) {
  const { label, tone } = format.status(sweep.status);
  return element("tr", {},
    element("td", {}, element("span", { class: `status ${tone}` }, label)),
    element("td", {}, element("a", { href: `/page/sweeps/${sweep.id}` }, sweep.name)),
    element("td", {}, trialsOf(sweep)),
    element("td", { class: "num", title: sweep.objective.monitor }, sweep.best ? format.metric(sweep.best.value) : "–"),
    element("td", {}, sweep.rule),
    element("td", { class: "num" }, format.duration(sweep.spent.gpu_seconds)),
    element("td", { class: "num" }, format.costs(sweep.spent.costs, "amount")),
    element("td", { class: "num", title: format.moment(sweep.created_at) }, format.age(sweep.created_at)));
}

function trialsOf({ counts }) {
  const ended = counts.total - counts.proposed - counts.queued - counts.running;
  const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span", { class: "done", style: { width: `${(100 * ended) / counts.max}%` } }));
  return [bar, `${format.number(ended)} of ${format.number(counts.max)}`];
}

document.addEventListener("visibilitychange", () => !document.hidden && void look());
void look();
