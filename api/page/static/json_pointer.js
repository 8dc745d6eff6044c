// Places in a JSON document, as the API's problems name them: #/hyperparameters/batch_size.

/** The names on the way to a place. */
export function parts(pointer) {
  return pointer.replace(/^#?\/?/, "").split("/").filter(Boolean).map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** What stands at a place; undefined where nothing does. */
export function valueAt(document, pointer) {
  return parts(pointer).reduce((here, name) => (isObject(here) ? here[name] : undefined), document);
}

/** The document with another value at a place; undefined takes away what stands there, and what is empty above it. */
export function withValue(document, pointer, value) {
  return changed(document, parts(pointer), value) ?? {};
}

function changed(here, [name, ...rest], value) {
  const copy = isObject(here) ? { ...here } : {};
  const inner = rest.length ? changed(copy[name], rest, value) : value;
  if (inner === undefined) delete copy[name];
  else copy[name] = inner;
  return Object.keys(copy).length ? copy : undefined;
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
