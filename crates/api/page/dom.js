// Elements, without a framework.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `el('p', { class: 'quiet', onclick: f }, 'text', another)`. */
export const el = (name, attributes, ...children) =>
  fill(document.createElement(name), attributes, children);

/** The same, of SVG. */
export const svg = (name, attributes, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const shown = new WeakMap();

/**
 * Fills a place, unless it already shows just this: what did not change must not
 * flicker, lose its focus, or be read out again.
 */
export function show(place, what, make) {
  const key = JSON.stringify(what);
  if (shown.get(place) === key) return;
  shown.set(place, key);
  const made = make();
  place.replaceChildren(...[made].flat(Infinity).filter(Boolean));
}
