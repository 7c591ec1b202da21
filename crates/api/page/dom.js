// Creates and updates elements, without a framework.

const SVG = 'http://www.w3.org/2000/svg';

/** Creates an HTML element: `el('p', { class: 'quiet', onclick: f }, 'text', another)`. */
export const el = (name, attributes, ...children) =>
  fill(document.createElement(name), attributes, children);

/** Creates an SVG element in the same way. */
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

const shownKeys = new WeakMap();

/**
 * Replaces the children of a container with the result of `create`, unless it already shows
 * `content`: unchanged elements must not flicker, lose the focus, or be read out again.
 */
export function showIfChanged(container, content, create) {
  const key = JSON.stringify(content);
  if (shownKeys.get(container) === key) return;
  shownKeys.set(container, key);
  const children = create();
  container.replaceChildren(...[children].flat(Infinity).filter(Boolean));
}
