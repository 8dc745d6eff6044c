// Making elements. Text only ever becomes text: what a job is called can hold anything, and no string becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * A new element. `attributes`: `class`, `style` (an object, set by CSSOM, which the page's policy allows), `dataset`,
 * `on` (handlers by event), all others as they are; null, undefined and false leave one out, true sets it empty.
 * `children`: nodes, strings, numbers, lists of them; null, undefined and false are left out.
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Put these in the place of all that `node` holds. */
export function replace(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter(isShown));
  return node;
}

/** Let `node` show this text; nothing happens where it does already. */
export function setText(node, text) {
  const shown = String(text);
  if (node.textContent !== shown) node.textContent = shown;
}

/** Set an attribute, or take it away for null; nothing happens where it is so already. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** The element of this id, which the page has. */
export function byId(id) {
  return document.getElementById(id);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) apply(node, name, value);
  return replace(node, ...children);
}

function apply(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "style") {
    for (const [property, one] of Object.entries(value)) node.style.setProperty(property, one);
  } else if (name === "dataset") {
    Object.assign(node.dataset, value);
  } else if (name === "on") {
    for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
  } else {
    node.setAttribute(name, value === true ? "" : value);
  }
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}
