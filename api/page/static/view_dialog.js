// The dialog that chooses the columns, the order and the groups of the list of jobs.

import { get } from "./api.js";
import { columnOf, DEFAULT_COLUMNS, FIXED_COLUMNS, shortName } from "./columns.js";
import { asked as askPerson } from "./dialogs.js";
import { element } from "./dom.js";
import { asked, chosenColumns, chosenGroup, chosenSort, query } from "./list_view.js";

const PARTS = [
  ["hyperparameters.", "Hyperparameters"],
  ["metrics.", "Metrics of the last epoch"],
  ["metadata.", "Metadata"],
  ["callbacks.", "Callbacks"],
  ["model.", "Model"],
  ["dataset.", "Dataset"],
  ["budget.", "Budget"],
  ["program.", "Program"],
];
// Open from the start; the others are long.
const SHOWN = 3;

/** Let a person choose; the address's new query, or null where nothing was chosen. */
export async function chooseView() {
  const names = await knownNames();
  const sort = element("select", { id: "view-sort" }, sortOptions(names));
  const way = element("select", { id: "view-way" }, option("", "Smallest first", !chosenSort()?.isDescending), option("-", "Largest first", chosenSort()?.isDescending));
  const group = element("select", { id: "view-group" }, groupOptions(names));
  const boxes = element("div", { class: "view-columns" }, columnBoxes(names));
  const form = element("form", { method: "dialog", class: "view-form" }, [
    element("div", { class: "view-order" }, [
      element("label", { for: "view-sort" }, "Sort by", sort),
      element("label", { for: "view-way" }, "Order", way),
      element("label", { for: "view-group" }, "Group by metadata", group),
    ]),
    boxes,
    element("div", { class: "dialog-end" }, [
      element("button", { value: "apply", class: "primary" }, "Apply view"),
      element("button", { value: "reset" }, "Reset view"),
      element("button", { value: "" }, "Close"),
    ]),
  ]);
  const act = await askPerson("View", form);
  if (!act) return null;
  const changed = query();
  for (const name of ["sort", "group", "column"]) changed.delete(name);
  if (act === "apply") apply(changed, sort.value && way.value + sort.value, group.value, chosenIn(boxes));
  return changed;
}

function apply(changed, sort, group, columns) {
  if (sort) changed.set("sort", sort);
  if (group) changed.set("group", group);
  if (columns.join("\n") === DEFAULT_COLUMNS.join("\n")) return;
  for (const name of columns) changed.append("column", name);
}

/** The chosen columns: those that were there in their order, then the new ones. */
function chosenIn(boxes) {
  const chosen = [...boxes.querySelectorAll("input:checked")].map((one) => one.value);
  const before = chosenColumns().map(({ name }) => name).filter((name) => chosen.includes(name));
  const known = new Set(before);
  const all = [...before, ...chosen.filter((name) => !known.has(name))];
  // All of the usual ones, chosen again, are in their usual order.
  const isUsual = all.length === DEFAULT_COLUMNS.length && DEFAULT_COLUMNS.every((name) => all.includes(name));
  return isUsual ? DEFAULT_COLUMNS : all;
}

/** The names of all values that the newest matching jobs have. */
async function knownNames() {
  const rows = asked();
  for (const name of ["column", "sort", "after"]) rows.delete(name);
  rows.set("limit", "100");
  rows.set("column", "*");
  const names = new Set(chosenColumns().map(({ name }) => name).filter((name) => name.includes(".")));
  for (const job of (await get(`/page/rows?${rows}`)).data) for (const name of Object.keys(job.values)) names.add(name);
  return [...names].sort();
}

function columnBoxes(names) {
  const chosen = new Set(chosenColumns().map(({ name }) => name));
  const box = (name, label) => element("label", { class: "check small" },
    element("input", { type: "checkbox", value: name, checked: chosen.has(name), disabled: name === "name" }), label);
  const part = (title, list) => element("fieldset", {}, element("legend", {}, title), list.map(([name, label]) => box(name, label)));
  const families = PARTS.map(([family, title]) => [title, names.filter((name) => name.startsWith(family)).map((name) => [name, shortName(name)])]).filter(([, list]) => list.length);
  const [near, far] = [families.slice(0, SHOWN), families.slice(SHOWN)];
  return [
    part("Columns", FIXED_COLUMNS.map(({ name, label }) => [name, label])),
    near.map(([title, list]) => part(title, list)),
    far.length ? element("details", {}, element("summary", {}, "More columns"), far.map(([title, list]) => part(title, list))) : null,
  ];
}

function sortOptions(names) {
  const now = chosenSort()?.column.name ?? "";
  const fixed = FIXED_COLUMNS.filter(({ name }) => columnOf(name).value).map(({ name, label }) => option(name, label, name === now));
  const values = names.map((name) => option(name, name, name === now));
  return [option("", "Newest first", !now), ...fixed, ...values];
}

function groupOptions(names) {
  const now = chosenGroup();
  const metadata = new Set(names.filter((name) => name.startsWith("metadata.")));
  if (now) metadata.add(`metadata.${now}`);
  return [option("", "No groups", !now), ...[...metadata].sort().map((name) => option(name, shortName(name), name === `metadata.${now}`))];
}

function option(value, label, isSelected) {
  return element("option", { value, selected: Boolean(isSelected) }, label);
}
