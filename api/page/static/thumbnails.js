// Small images of a dataset, by class.

import { get } from "./api.js";
import { element, replace } from "./dom.js";

const MOST_THUMBNAILS = 24;
// Smaller ones are shown larger than they are, and keep their pixels.
const SHOWN_HEIGHT = 72;

/** Some images of each class, or of the class that is chosen. */
export function thumbnailsOf(dataset) {
  const shown = element("div", { class: "thumbnails", tabindex: "0", role: "region", "aria-label": `Images of ${dataset.id}` });
  const names = dataset.images.classes.map((one) => one.name);
  const choice = element("select", { "aria-label": "Class of the images shown", on: { change: () => void load() } },
    element("option", { value: "" }, "all classes"), names.map((name) => element("option", { value: name }, name)));
  async function load() {
    const chosen = choice.value;
    const query = new URLSearchParams({ limit: MOST_THUMBNAILS, ...(chosen ? { class: chosen } : {}) });
    let figures;
    try {
      figures = (await get(`/datasets/${encodeURIComponent(dataset.id)}/images?${query}`)).data.map(figureOf);
    } catch (problem) {
      figures = element("p", { class: "warn small" }, problem.message);
    }
    if (choice.value === chosen) replace(shown, figures);
  }
  void load();
  return element("div", {}, element("div", { class: "thumbnail-choice" }, choice), shown);
}

function figureOf(one) {
  const size = `${one.width} × ${one.height}`;
  return element("figure", { title: `${one.path}, ${size}` },
    element("img", { class: one.height < SHOWN_HEIGHT ? "enlarged" : null, src: one.thumbnail, alt: `${one.label}: ${one.path}` }), element("figcaption", {}, one.label));
}
