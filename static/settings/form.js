/** The settings forms: read them, fill them, and show what is wrong beside each field. */

import { write } from "../base/dom.js";
import { MODELS } from "../base/models.js";
import { setItemCount } from "./layers.js";

const inputs = (field) => [...field.querySelectorAll("input, select")];
const fieldsOf = (model) => [...document.querySelectorAll(`.field[data-name^="${model}."]`)];
const fieldNamed = (name) => document.querySelector(`.field[data-name="${CSS.escape(name)}"]`);

const DECIMAL_COMMA = /^[+-]?\d*,\d+(e[+-]?\d+)?$/i;
const MAYBE_THOUSANDS = /^[+-]?[1-9]\d{0,2},\d{3}$/;

/**
 * Return what was typed as JSON should hold it. A comma is a decimal one where it can be nothing else: "0,01" but
 * not "1,000". Text that is no number stays text, so that the server can name it. Pure.
 */
export function parseTyped(text, type) {
  const trimmed = text.trim();
  if (type !== "integer" && type !== "number") return trimmed;
  const plain = type === "number" && DECIMAL_COMMA.test(trimmed) && !MAYBE_THOUSANDS.test(trimmed) ? trimmed.replace(",", ".") : trimmed;
  return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : trimmed;
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

/** Return the settings of both models as they stand in their forms. */
export const typedSettings = () => Object.fromEntries(MODELS.map((model) => [model, readSettings(model)]));

/** Choose a value of a menu; one that it does not offer is put there, so that the server can name it as a fault. */
function choose(menu, value) {
  for (const stray of menu.querySelectorAll("[data-stray]")) stray.remove();
  menu.value = value;
  if (menu.selectedIndex >= 0) return;
  const stray = new Option(value, value, false, true);
  stray.dataset.stray = "";
  menu.append(stray);
}

function put(input, value) {
  if (input.type === "checkbox") input.checked = String(value) === "true";
  else if (input.localName === "select") choose(input, String(value));
  else input.value = value;
}

/** One too many is a fault that the server names; a thousand would be a flood. */
const itemsFor = (field, value) => String(value).split(",").slice(0, Number(field.dataset.most) + 1);

/**
 * Put `settings` into one model's form, as values or as texts; fields that they do not name stay,
 * but for lists, which are as long as those that are named.
 */
export function fillSettings(model, settings) {
  const fields = fieldsOf(model);
  const lists = fields.filter((field) => field.dataset.type === "array");
  const named = lists.find((field) => settings[field.dataset.key] !== undefined);
  if (named) for (const field of lists) setItemCount(field, itemsFor(named, settings[named.dataset.key]).length);
  for (const field of fields) {
    const value = settings[field.dataset.key];
    if (value === undefined) continue;
    const values = lists.includes(field) ? itemsFor(field, value) : [value];
    if (lists.includes(field)) setItemCount(field, values.length);
    inputs(field).forEach((input, index) => put(input, values[index]));
  }
  showFaults(model, {});
}

/** Return a fault that begins with a setting's key with its title instead. Pure. */
export const callByTitle = (fault, key, title) => (fault.startsWith(`${key} `) ? title + fault.slice(key.length) : fault);

/** Show each fault beside its field and clear the other fields of that model. Keys are "model1.learning_rate". */
export function showFaults(model, faults) {
  for (const field of fieldsOf(model)) {
    const fault = callByTitle(faults[field.dataset.name] ?? "", field.dataset.key, field.dataset.title);
    field.classList.toggle("faulty", fault !== "");
    const text = field.querySelector(".fault");
    write(text, fault);
    text.title = fault;
    for (const input of inputs(field)) input.setAttribute("aria-invalid", String(fault !== ""));
    if (fault && field.dataset.group !== "basic") field.closest("details").open = true;
  }
  alignRows();
}

/** A row that needs two lines in one form takes two in the other and in the gutter, so that the rows stay level. */
function alignRows() {
  const tall = new Set([...document.querySelectorAll(".field.is-list.faulty")].map((field) => field.dataset.key));
  for (const row of document.querySelectorAll(".field, [data-mark]")) {
    row.classList.toggle("tall", tall.has(row.dataset.key ?? row.dataset.mark));
  }
}

/** Put the cursor into a field, unfolding it where need be. */
export function focusField(model, key) {
  const field = fieldNamed(`${model}.${key}`);
  if (field.dataset.group !== "basic") field.closest("details").open = true;
  const [input] = inputs(field);
  input.focus();
  input.select?.();
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
