// The API's schema of a job, read at one place. Nothing here touches the page.

/**
 * The schema at a place, with references, "or null" and choices resolved; undefined where there is none.
 *
 * @param {object} kinds the kind of each part that has several: `{ dataset: "images", model: "cnn" }`
 */
export function schemaAt(schema, place, kinds = {}) {
  let here = schema;
  let kind;
  for (const name of place.split("/")) {
    here = resolved(schema, here, kind)?.properties?.[name];
    if (!here) return undefined;
    kind = kinds[name];
  }
  return { ...resolved(schema, here, kind), description: here.description ?? "" };
}

function resolved(schema, here, kind) {
  if (!here) return undefined;
  if (here.$ref) return { ...schema.$defs[here.$ref.split("/").at(-1)], ...without(here, "$ref") };
  if (!here.anyOf) return here;
  const branches = here.anyOf.filter((one) => one.type !== "null").map((one) => resolved(schema, one, kind));
  return { ...chosen(branches, kind), ...without(here, "anyOf"), isNullable: branches.length < here.anyOf.length, words: branches.flatMap((one) => one.const ?? one.enum ?? []) };
}

/** The branch of a kind; else the one that a field can show: a list or a number, where a word such as "auto" may stand too, or names. */
function chosen(branches, kind) {
  if (branches.length === 1) return branches[0];
  const ofKind = branches.find((one) => kind && one.properties?.kind?.const === kind);
  return ofKind ?? branches.find((one) => one.type === "array" || one.type === "integer") ?? branches.find((one) => one.enum) ?? {};
}

function without(object, name) {
  return Object.fromEntries(Object.entries(object).filter(([one]) => one !== name));
}
