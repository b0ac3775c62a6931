/** The settings forms: read them, fill them, and show what is wrong beside each field. */

import { setItemCount } from "./layers.js";

const inputs = (field) => [...field.querySelectorAll("input, select")];
const fieldsOf = (model) => [...document.querySelectorAll(`.field[data-name^="${model}."]`)];
const fieldNamed = (name) => document.querySelector(`.field[data-name="${CSS.escape(name)}"]`);

/** Return what was typed as JSON should hold it. Text that is no number stays text, so that the server can name it. */
export function parseTyped(text, type) {
  const trimmed = text.trim();
  if (type !== "integer" && type !== "number") return trimmed;
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}

function readField(field) {
  const { type, itemType } = field.dataset;
  if (type === "array") return inputs(field).map((input) => parseTyped(input.value, itemType));
  const [input] = inputs(field);
  return type === "boolean" ? input.checked : parseTyped(input.value, type);
}

/** Return the settings of one model as they stand in its form. */
export const readSettings = (model) =>
  Object.fromEntries(fieldsOf(model).map((field) => [field.dataset.key, readField(field)]));

/** Put `settings` into one model's form; fields that they do not name stay. */
export function fillSettings(model, settings) {
  for (const field of fieldsOf(model)) {
    const value = settings[field.dataset.key];
    if (value === undefined) continue;
    if (field.dataset.type === "array") {
      setItemCount(field, value.length);
      inputs(field).forEach((input, index) => (input.value = value[index]));
    } else if (field.dataset.type === "boolean") inputs(field)[0].checked = value;
    else inputs(field)[0].value = value;
  }
  showFaults(model, {});
}

/** Show each fault beside its field and clear the other fields of that model. Keys are "model1.learning_rate". */
export function showFaults(model, faults) {
  for (const field of fieldsOf(model)) {
    const fault = faults[field.dataset.name] ?? "";
    field.classList.toggle("faulty", fault !== "");
    const text = field.querySelector(".fault");
    if (text.textContent !== fault) text.textContent = fault;
    for (const input of inputs(field)) input.setAttribute("aria-invalid", String(fault !== ""));
    if (fault && field.dataset.group !== "basic") field.closest("details").open = true;
  }
}

/** Put the cursor into the first field of the page that has a fault. */
export function focusFirstFault() {
  const field = document.querySelector(".field.faulty");
  if (field) inputs(field)[0].focus();
}

/** Return the names of the settings in the order of the form. */
export const keysOf = (model) => fieldsOf(model).map((field) => field.dataset.key);

/** Return what a field is called on the page. */
export const titleOf = (model, key) => fieldNamed(`${model}.${key}`).dataset.title;
export const isBasic = (model, key) => fieldNamed(`${model}.${key}`).dataset.group === "basic";

/** Let or do not let the settings be changed. */
export function lock(locked) {
  for (const fieldset of document.querySelectorAll(".fields")) fieldset.disabled = locked;
}
