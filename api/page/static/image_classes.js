// The classes of a dataset of images: their numbers of images, and some of the images.

import { get } from "./api.js";
import { element } from "./dom.js";
import { counted, number, percent } from "./format.js";

const MOST_IMAGES = 100;
const MOST_CLASSES = 24;
const MOST_OF_A_CLASS = 8;
// A thumbnail that is shown larger than it is keeps its pixels.
const SHOWN_PIXELS = 40;

/** A row for each class, with images of it. Raises a Problem. */
export async function imageClasses(dataset) {
  const limit = Math.min(MOST_IMAGES, MOST_OF_A_CLASS * dataset.images.classes.length);
  const { data } = await get(`/datasets/${encodeURIComponent(dataset.id)}/images?limit=${limit}`);
  const rows = dataset.images.classes.map((one) => ({ name: one.name, count: countOf(one), images: data.filter((image) => image.label === one.name) }));
  const most = Math.max(...rows.map((one) => one.count));
  const more = rows.length - MOST_CLASSES;
  return element("div", {},
    element("ul", { class: "image-classes", "aria-label": "Classes" }, rows.slice(0, MOST_CLASSES).map((one) => classRow(one, most, dataset.rows))),
    more > 0 ? element("p", { class: "muted small" }, `and ${counted(more, "more class")}`) : null);
}

function countOf({ unsplit, train, validation, test }) {
  return unsplit + train + validation + test;
}

function classRow({ name, count, images }, most, all) {
  return element("li", {},
    element("span", { class: "image-class-name", title: name }, name),
    element("span", { class: "image-class-count num muted" }, `${number(count)} · ${percent(count / all)}`),
    element("span", { class: "image-class-bar", "aria-hidden": "true" }, element("span", { class: "fill", style: { width: `${(100 * count) / most}%` } })),
    element("span", { class: "thumbnails" }, images.map(thumbnail)));
}

function thumbnail({ path, label, width, height, thumbnail: source }) {
  const isSmall = Math.max(width, height) < SHOWN_PIXELS;
  return element("img", { class: isSmall ? "small-image" : null, src: source, alt: label, title: `${path}, ${width} × ${height}` });
}
