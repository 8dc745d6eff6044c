// The API's schema of a job, read at one place. Nothing here touches the page.

/**
 * The schema at a place, with references, "or null" and choices resolved; undefined where there is none.
 *
 * @param {object} kinds the kind of each part that has several: `{ dataset: "images", model: "cnn" }`
 * @param {string} inside a field that the chosen branch has
 */
export function schemaAt(schema, place, kinds = {}, inside = undefined) {
  let here = schema;
  let kind;
  for (const name of place.split("/")) {
    here = resolved(schema, here, kind, name)?.properties?.[name];
    if (!here) return undefined;
    kind = kinds[name];
  }
  return { ...resolved(schema, here, kind, inside), description: here.description ?? "" };
}

/** The names of the fields at a place. */
export function fieldsAt(schema, place, kinds) {
  return Object.keys(schemaAt(schema, place, kinds)?.properties ?? {});
}

/** The arguments that a name takes at a place where a name or an object with its arguments stands. */
export function argumentsOf(schema, place, name) {
  const objects = schemaAt(schema, place, {}, "name");
  return objects?.["x-arguments"]?.[name] ?? [];
}

function resolved(schema, here, kind, inside) {
  if (!here) return undefined;
  if (here.$ref) return { ...schema.$defs[here.$ref.split("/").at(-1)], ...without(here, "$ref") };
  if (!here.anyOf) return here;
  const branches = here.anyOf.filter((one) => one.type !== "null").map((one) => resolved(schema, one, kind, inside));
  return { ...chosen(branches, kind, inside), ...without(here, "anyOf"), isNullable: branches.length < here.anyOf.length, words: branches.flatMap((one) => one.const ?? one.enum ?? []) };
}

/** The branch of a kind, or with a place `inside`; else the one that a field can show: a list or a number, where a word such as "auto" may stand too, or names. */
function chosen(branches, kind, inside) {
  if (branches.length === 1) return branches[0];
  const ofKind = branches.find((one) => kind && one.properties?.kind?.const === kind);
  return ofKind ?? branches.find((one) => inside && one.properties?.[inside]) ?? branches.find((one) => one.type === "array" || one.type === "integer") ?? branches.find((one) => one.enum) ?? {};
}

function without(object, name) {
  return Object.fromEntries(Object.entries(object).filter(([one]) => one !== name));
}
