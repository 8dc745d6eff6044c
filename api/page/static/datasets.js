// The datasets of the project: what each holds, which jobs use it; upload and delete them.

import { get, send } from "./api.js";
import { findUsers, unfinished } from "./dataset_users.js";
import { profileOf } from "./dataset_profile.js";
import { asked, confirmed } from "./dialogs.js";
import { byId, element, replace, setText } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./notice.js";
import { ACCEPTED, idOf, putFile } from "./put_file.js";
import { forgetSight, watchSight } from "./sight.js";

const AT_ONCE = 50;
const NAMED = 5;
const IN_STRIP = 8;
const MAY_WRITE = document.body.dataset.scope !== "read";

let shown = [];
let known = null;

/** The first page again, or the next one after what is shown. */
async function look(isNext = false) {
  const after = isNext ? { after: shown.at(-1).id } : {};
  const page = await get(`/datasets?${new URLSearchParams({ limit: AT_ONCE, ...after })}`);
  shown = isNext ? [...shown, ...page.data] : page.data;
  byId("older").hidden = !page.has_more;
  const none = element("p", { class: "card empty" }, "No datasets yet. Upload a table, images or arrays.");
  if (isNext) byId("datasets").append(...page.data.map(card));
  else replace(byId("datasets"), shown.length ? shown.map(card) : none);
  showUsers();
}

/** Read which jobs use the datasets: after the datasets are shown, because it takes longer. */
async function readUsers() {
  known = await findUsers();
  showUsers();
  setText(byId("note"), known.isCut ? "Only the newest 1,000 jobs are counted." : "");
}

function showUsers() {
  if (!known) return;
  for (const node of document.querySelectorAll("[data-users]")) replace(node, usersInWords(known.users.get(node.dataset.users) ?? []));
}

function card(dataset) {
  const heading = `head-${dataset.id}`;
  const remove = element("button", { type: "button", class: "danger", on: { click: () => attempt(() => removed(dataset)) } }, "Delete dataset", element("span", { class: "sr" }, ` ${dataset.id}`));
  return element("section", { class: "card dataset", "aria-labelledby": heading },
    element("div", { class: "card-head" },
      element("h2", { id: heading }, dataset.id),
      element("span", { class: "chip" }, dataset.kind),
      dataset.project === "default" ? null : element("span", { class: "chip" }, `project ${dataset.project}`),
      MAY_WRITE ? element("div", { class: "end" }, remove) : null),
    element("p", { class: "muted small" }, [...factsOf(dataset), format.bytes(dataset.bytes), dataset.source_name].filter(Boolean).join(" · "), " · ",
      element("time", { datetime: dataset.created_at, title: format.moment(dataset.created_at) }, `uploaded ${format.clock(dataset.created_at)}`)),
    dataset.kind === "images" ? strip(dataset) : null,
    element("p", { class: "small", dataset: { users: dataset.id } }, "\u00a0"),
    profile(dataset));
}

function factsOf({ kind, rows, columns, images, arrays }) {
  if (kind === "images") return [format.counted(rows, "image"), format.counted(images.classes.length, "class")];
  if (kind === "arrays") return [format.counted(rows, "row"), format.counted(arrays.length, "array")];
  return [format.counted(rows, "row"), format.counted(columns.length, "column")];
}

/** Some images; asked for when the card comes into sight. */
function strip(dataset) {
  const node = element("div", { class: "strip" });
  watchSight(node, (isSeen) => {
    if (!isSeen) return;
    forgetSight(node);
    void attempt(async () => {
      const { data } = await get(`/datasets/${encodeURIComponent(dataset.id)}/images?limit=${IN_STRIP}`);
      replace(node, data.map((one) => element("img", { src: one.thumbnail, alt: `${one.label}: ${one.path}` })));
    });
  });
  return node;
}

/** The profile, drawn when somebody opens it. */
function profile(dataset) {
  const place = element("div");
  const open = () => place.childElementCount || replace(place, profileOf(dataset));
  return element("details", { on: { toggle: open } }, element("summary", {}, "Profile", element("span", { class: "sr" }, ` of ${dataset.id}`)), place);
}

function usersInWords(jobs) {
  if (!jobs.length) return "No job uses it.";
  const links = jobs.slice(0, NAMED).map((job, at) => [at ? ", " : "", element("a", { class: "in-text", href: `/page/jobs/${job.id}` }, job.name ?? format.shortId(job.id))]);
  const more = jobs.length > NAMED ? ` and ${format.number(jobs.length - NAMED)} more` : "";
  return [`${format.counted(jobs.length, "job")} ${jobs.length === 1 ? "uses" : "use"} it: `, links, more];
}

async function removed(dataset) {
  await readUsers();
  const users = known.users.get(dataset.id) ?? [];
  const open = unfinished(users);
  if (open.length) return void (await asked(`${dataset.id} cannot be deleted yet`, closing("Unfinished jobs use it. Cancel them, or wait until they have finished.", open)));
  const words = users.length ? `${usersInText(users)} Jobs keep their models, but can no longer be retried or extended.` : "No job uses it. It is deleted permanently.";
  if (!(await confirmed(`Delete ${dataset.id}?`, words, "Delete dataset", "Keep dataset"))) return;
  await send("DELETE", `/datasets/${encodeURIComponent(dataset.id)}`);
  await look();
  byId("upload").focus();
}

function usersInText(jobs) {
  const names = jobs.slice(0, NAMED).map((job) => job.name ?? job.id).join(", ");
  const more = jobs.length > NAMED ? ` and ${format.number(jobs.length - NAMED)} more` : "";
  return `${format.counted(jobs.length, "finished job")} ${jobs.length === 1 ? "was" : "were"} trained on it: ${names}${more}.`;
}

function closing(words, jobs) {
  return element("form", { method: "dialog" },
    element("p", {}, words), element("p", {}, usersInWords(jobs)),
    element("div", { class: "dialog-end" }, element("button", { class: "primary" }, "Close")));
}

async function upload() {
  const error = element("p", { class: "field-error", role: "alert" });
  const id = element("input", { id: "new-id", name: "id", autocomplete: "off" });
  const file = element("input", { id: "new-file", type: "file", accept: ACCEPTED, "aria-describedby": "file-hint", on: { change: () => (id.value ||= idOf(file.files[0]?.name ?? "")) } });
  const progress = element("progress", { max: "1", value: "0", hidden: true, "aria-label": "Upload" });
  const put = element("button", { class: "primary" }, "Upload");
  const form = element("form", { class: "dialog-form", novalidate: true },
    element("label", { for: "new-file" }, "File"), file,
    element("p", { id: "file-hint", class: "muted small" }, "A table (CSV, Parquet), images (zip or tar with a folder for each class) or arrays (npz). For many gigabytes use fitstop datasets put, which resumes after an interruption."),
    element("label", { for: "new-id" }, "Id"), id, progress, error,
    element("div", { class: "dialog-end" }, element("button", { type: "button", on: { click: () => form.closest("dialog").close("") } }, "Cancel"), put));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (put.ariaBusy === "true") return;
    if (!file.files[0]) return setText(error, "File: choose one.");
    [put.ariaBusy, progress.hidden] = ["true", false];
    setText(error, "");
    try {
      await putFile(id.value.trim(), file.files[0], (part) => (progress.value = part));
      form.closest("dialog")?.close("done");
    } catch (problem) {
      setText(error, problem.errors.map((one) => one.detail).join("; ") || problem.message);
    }
    [put.ariaBusy, progress.hidden] = [null, true];
  });
  if ((await asked("Upload dataset", form)) === "done") await look();
}

function attempt(act) {
  return act().catch((problem) => notice(problem.message, "bad"));
}

byId("upload").hidden = !MAY_WRITE;
byId("upload").addEventListener("click", () => void attempt(upload));
byId("older").addEventListener("click", () => void attempt(() => look(true)));
void attempt(async () => {
  await look();
  await readUsers();
});
