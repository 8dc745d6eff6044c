// Some images of the dataset of a job.

import { get } from "./api.js";
import { element, replace } from "./dom.js";
import { thumbnailsOf } from "./thumbnails.js";

/** Show them; `node` stays hidden for other data, and where the dataset was deleted or is another one by now. */
export async function showImages(node, { created_at: posted, spec: { dataset: asked } }) {
  if (asked?.kind !== "images") return;
  const dataset = await get(`/datasets/${encodeURIComponent(asked.id)}`).catch(whereNone);
  if (!dataset?.images || Date.parse(dataset.created_at) > Date.parse(posted)) return;
  replace(node, element("div", { class: "card-head" }, element("h2", {}, "Sample images")), thumbnailsOf(dataset));
  node.hidden = false;
}

function whereNone(problem) {
  if (problem.status === 404) return null;
  throw problem;
}
