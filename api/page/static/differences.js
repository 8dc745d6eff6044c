// In what several specs differ. Nothing here touches the page.

/**
 * The places at which not all specs say the same, in the order of the first that has them.
 *
 * @param {Array<object>} specs
 * @returns {Array<{path: string, values: Array<string>}>} one value for each spec, as JSON writes it (a text without its
 *     quotes); an empty one where a spec does not have the place
 */
export function differences(specs) {
  const flat = specs.map((spec) => new Map(leaves(spec, "")));
  const paths = new Set(flat.flatMap((one) => [...one.keys()]));
  return [...paths]
    .map((path) => ({ path, values: flat.map((one) => one.get(path) ?? "") }))
    .filter(({ values }) => values.some((value) => value !== values[0]));
}

/** Every place of a document with its value; a list is one value. */
function* leaves(value, path) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    yield [path, typeof value === "string" ? value : JSON.stringify(value)];
    return;
  }
  for (const [name, part] of Object.entries(value)) yield* leaves(part, path ? `${path}.${name}` : name);
}
