/** Small changes to the page that touch it only where something is new. */

/** Put `text` into an element unless it stands there already: a selection and a screen reader stay undisturbed. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a new element with attributes, text and children. */
export function make(tag, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}
