// In what several specs differ. Nothing here touches the page.

import { kerasWords } from "./kinds.js";

/**
 * The places at which not all specs say the same, in the order of the first that has them.
 *
 * @param {Array<object>} specs
 * @returns {Array<{path: string, values: Array<string>}>} one value for each spec, as JSON writes it (a text without its
 *     quotes); an empty one where a spec does not have the place
 */
export function differences(specs) {
  const flat = comparable(specs).map((spec) => new Map(leaves(spec, "")));
  const paths = new Set(flat.flatMap((one) => [...one.keys()]));
  return [...paths]
    .map((path) => ({ path, values: flat.map((one) => one.get(path) ?? "") }))
    .filter(({ values }) => values.some((value) => value !== values[0]));
}

/** The specs; Keras models with other layers are one value each, so that the differences stay few. */
function comparable(specs) {
  const models = specs.map((spec) => JSON.stringify((spec.model?.config?.config?.layers ?? []).map((layer) => layer.config?.name)));
  if (models.every((one) => one === models[0])) return specs;
  return specs.map((spec) => (spec.model?.kind === "keras" ? { ...spec, model: { kind: "keras", config: kerasWords(spec.model.config) } } : spec));
}

/** Every place of a document with its value; a list is one value, but the layers of a Keras model are one place each. */
function* leaves(value, path) {
  if (isLayers(value)) {
    for (const layer of value) yield* leaves(layer, `${path}.${layer.config.name}`);
    return;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    yield [path, typeof value === "string" ? value : JSON.stringify(value)];
    return;
  }
  for (const [name, part] of Object.entries(value)) yield* leaves(part, path ? `${path}.${name}` : name);
}

function isLayers(value) {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one?.config?.name === "string");
}
