// What the service says of a dataset: a table's columns, the classes of images, or arrays.

import { element, replace, svg } from "./dom.js";
import * as format from "./format.js";
import { imageClasses } from "./image_classes.js";
import { shapeWords } from "./kinds.js";

const MOST_BARS = 24;

/** The profile of a dataset; the thumbnails of images come a moment later. */
export function profileOf(dataset) {
  const parts = { table: columnsOf, images: imagesOf, arrays: arraysOf };
  const facts = [...factsOf(dataset), format.bytes(dataset.bytes), dataset.source_name];
  return element("div", {},
    element("p", { class: "profile-facts muted small" }, facts.filter(Boolean).join(" · ")),
    dataset.warnings.map((warning) => element("p", { class: "warn small" }, warning)),
    parts[dataset.kind]?.(dataset));
}

function factsOf({ kind, rows, columns, images, arrays }) {
  if (kind === "images") return [format.counted(rows, "image"), format.counted(images.classes.length, "class"), sizesOf(images), channelsOf(images)];
  if (kind === "arrays") return [format.counted(rows, "row"), format.counted(arrays.length, "array")];
  return [format.counted(rows, "row"), format.counted(columns.length, "column")];
}

function sizesOf({ width, height }) {
  const range = ([least, most]) => (least === most ? format.number(least) : `${format.number(least)} to ${format.number(most)}`);
  return `width ${range(width)}, height ${range(height)}`;
}

function channelsOf({ channels }) {
  const names = { 1: "grey", 3: "colour", 4: "colour with transparency" };
  const found = Object.entries(channels);
  if (found.length === 1) return names[found[0][0]] ?? `${found[0][0]} channels`;
  return found.map(([one, count]) => `${format.number(count)} ${names[one] ?? `of ${one} channels`}`).join(", ");
}

function imagesOf(dataset) {
  const place = element("div", {}, element("p", { class: "muted small" }, "loading the images …"));
  imageClasses(dataset).then((node) => replace(place, node), (problem) => replace(place, element("p", { class: "warn small" }, problem.message)));
  return place;
}

function arraysOf(dataset) {
  return tableOf(`Arrays of ${dataset.id}`, ["Array", "Role", "Part", "Shape", "Dtype", "Values"], dataset.arrays.map(arrayRow));
}

function arrayRow(array) {
  const cells = [array.role.replaceAll("_", " "), array.part, shapeWords(array.shape), array.dtype];
  const odd = array.non_finite ? element("span", { class: "warn" }, ` ${format.counted(array.non_finite, "value")} not finite`) : null;
  const range = array.minimum === null ? "" : `${format.number(array.minimum)} to ${format.number(array.maximum)}`;
  return element("tr", {}, element("th", { scope: "row" }, array.name), cells.map((text) => element("td", { class: "muted" }, text)), element("td", {}, range, odd));
}

function columnsOf(dataset) {
  const rows = dataset.columns.map((column) => columnRow(column, dataset.rows));
  return tableOf(`Columns of ${dataset.id}`, ["Column", "Kind", "Missing", "Distinct", "Values"], rows, [2, 3]);
}

/** A table that scrolls; `numbers` are the places of the columns of numbers. */
function tableOf(label, names, rows, numbers = []) {
  const head = names.map((name, index) => element("th", { scope: "col", class: numbers.includes(index) ? "num" : null }, name));
  return element("div", { class: "profile", tabindex: "0", role: "region", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows)));
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
