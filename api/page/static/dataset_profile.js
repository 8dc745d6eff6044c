// What the service says of a dataset: the columns of a table, the classes of images with some of them, or arrays.

import { element, svg } from "./dom.js";
import * as format from "./format.js";
import { thumbnailsOf } from "./thumbnails.js";

const MOST_BARS = 24;
const PARTS = [["unsplit", "No part"], ["train", "Train"], ["validation", "Validation"], ["test", "Test"]];

/** The profile of a dataset, by its kind. */
export function profileOf(dataset) {
  const [facts, ...content] = { images: ofImages, arrays: ofArrays }[dataset.kind]?.(dataset) ?? ofTable(dataset);
  return element("div", {},
    element("p", { class: "profile-facts muted small" }, [...facts, format.bytes(dataset.bytes), dataset.source_name].filter(Boolean).join(" · ")),
    dataset.warnings.map((warning) => element("p", { class: "warn small" }, warning)),
    content);
}

function ofTable(dataset) {
  const facts = [format.counted(dataset.rows, "row"), format.counted(dataset.columns.length, "column")];
  const rows = dataset.columns.map((column) => columnRow(column, dataset.rows));
  return [facts, table(`Columns of ${dataset.id}`, ["Column", "Kind", "Missing", "Distinct", "Values"], [2, 3], rows)];
}

function ofImages(dataset) {
  const { classes, width, height, channels } = dataset.images;
  const facts = [format.counted(dataset.rows, "image"), format.counted(classes.length, "class"), `${span(width)} × ${span(height)} pixels`,
    `${Object.keys(channels).join(", ")} ${Object.keys(channels).join() === "1" ? "channel" : "channels"}`];
  const parts = PARTS.filter(([part]) => classes.some((one) => one[part]));
  const rows = classes.map((one) => element("tr", {}, element("th", { scope: "row" }, one.name), parts.map(([part]) => element("td", { class: "num" }, format.number(one[part])))));
  const names = parts.length === 1 ? ["Images"] : parts.map(([, name]) => name);
  return [facts, table(`Classes of ${dataset.id}`, ["Class", ...names], parts.map((_, index) => index + 1), rows), thumbnailsOf(dataset)];
}

function ofArrays(dataset) {
  const rows = dataset.arrays.map((one) => element("tr", {},
    element("th", { scope: "row" }, one.name),
    element("td", { class: "muted" }, `${one.role.replace("_", " ")}, ${one.part}`),
    element("td", {}, one.shape.join(" × ")),
    element("td", { class: "muted" }, one.dtype),
    element("td", {}, one.minimum === null ? "" : `${format.number(one.minimum)} to ${format.number(one.maximum)}`),
    element("td", { class: one.non_finite ? "num warn" : "num muted" }, format.number(one.non_finite))));
  const facts = [format.counted(dataset.rows, "row"), format.counted(dataset.arrays.length, "array")];
  return [facts, table(`Arrays of ${dataset.id}`, ["Array", "Role", "Shape", "Type", "Range", "Not finite"], [5], rows)];
}

function table(label, names, numeric, rows) {
  const head = names.map((name, index) => element("th", { scope: "col", class: numeric.includes(index) ? "num" : null }, name));
  return element("div", { class: "profile", tabindex: "0", role: "region", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows)));
}

function span([smallest, largest]) {
  return smallest === largest ? format.number(smallest) : `${format.number(smallest)} to ${format.number(largest)}`;
}

function columnRow(column, rows) {
  return element("tr", { dataset: { column: column.name } },
    element("th", { scope: "row" }, column.name),
    element("td", { class: "muted" }, column.kind),
    element("td", { class: column.missing ? "num warn" : "num muted" }, column.missing ? `${format.number(column.missing)} (${format.percent(column.missing / rows)})` : "0"),
    element("td", { class: "num" }, format.number(column.distinct)),
    element("td", {}, histogram(column), " ", element("span", { class: "muted" }, range(column))));
}

function range(column) {
  if (column.earliest) return `${column.earliest} to ${column.latest}`;
  if (column.minimum !== null) return `${format.number(column.minimum)} to ${format.number(column.maximum)}, mean ${format.number(column.mean)}`;
  return column.values && column.values.length <= 4 ? column.values.map((one) => String(one.value)).join(", ") : "";
}

/** The counts of a column's values in their order, where they are listed; at most MOST_BARS bars. */
function histogram(column) {
  if (!column.values?.length) return null;
  const size = Math.ceil(column.values.length / MOST_BARS);
  const counts = [];
  column.values.forEach((one, index) => (counts[Math.floor(index / size)] = (counts[Math.floor(index / size)] ?? 0) + one.rows));
  const most = Math.max(...counts);
  const bars = counts.map((count, index) => svg("rect", { x: index * 4, y: 16 - Math.max(1, (16 * count) / most), width: 3, height: Math.max(1, (16 * count) / most), fill: "currentColor" }));
  return svg("svg", { class: "histogram", width: counts.length * 4, height: 16, "aria-hidden": "true" }, bars);
}
