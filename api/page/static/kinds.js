// The kinds of datasets and models: which go together, and what is said of them. Nothing here touches the page.

import { counted, number } from "./format.js";

/** The models for each kind of dataset, the usual one first. */
export const MODELS = {
  table: ["dense", "keras", "job"],
  images: ["cnn", "application", "keras", "job"],
  arrays: ["dense", "cnn", "application", "keras", "job"],
};
export const MODEL_LABELS = { dense: "Dense network", cnn: "Convolutional network", application: "Keras application", keras: "Keras model from JSON", job: "Model of an earlier job" };

const RANK_OF_IMAGES = 4;

/** The kind of the model where the spec does not say it, as the API decides it. */
export function usualModel(dataset) {
  const inputs = (dataset?.arrays ?? []).filter((one) => one.role === "input" && one.part === "training");
  const isImageArray = inputs.length === 1 && inputs[0].shape.length === RANK_OF_IMAGES;
  return dataset?.kind === "images" || isImageArray ? "cnn" : "dense";
}

/** The kinds of a spec's dataset and model; `dataset` is what is known of the dataset, null for nothing. */
export function kindsOf(spec, dataset) {
  const kind = dataset?.kind ?? spec.dataset?.kind;
  const asked = spec.model?.kind;
  return { dataset: kind in MODELS ? kind : "table", model: asked in MODEL_LABELS ? asked : usualModel(dataset) };
}

/** A model in a few words. */
export function modelWords(model) {
  const widths = (list) => list.map((one) => number(one)).join(" → ");
  if (model.kind === "application") return model.name;
  if (model.kind === "keras") return kerasWords(model.config);
  if (model.kind === "job") return `fine-tuned (${trainableWords(model.trainable)})`;
  if (model.kind === "cnn") return `CNN ${widths(model.filters)}`;
  return `dense ${widths(model.layers)}`;
}

function trainableWords(trainable) {
  if (trainable === "all") return "all layers";
  return trainable === "head" ? "head" : `head and ${counted(trainable, "layer")}`;
}

/** The name and the number of layers of a Keras model. */
export function kerasWords(config) {
  const layers = config?.config?.layers;
  const name = config?.config?.name ?? "Keras model";
  return Array.isArray(layers) ? `${name}, ${counted(layers.length, "layer")}` : name;
}

/** A shape or a size: 28 × 28 × 1. */
export function shapeWords(shape) {
  return shape.map((one) => number(one)).join(" × ");
}

/** The dataset of a job and what is predicted from it, in a few words. */
export function dataWords({ spec: { dataset }, task }) {
  if (dataset.kind === "images") return `${dataset.id}: ${shapeWords([...dataset.size, dataset.channels])}, ${counted(task.classes.length, "class")}`;
  if (dataset.kind === "arrays") return `${dataset.id} (arrays)`;
  return `${dataset.id}, target ${dataset.target}`;
}
