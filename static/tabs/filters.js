/** The first layer's filters of both models at one evaluation, scrubbed back and forth. */

import * as api from "../base/api.js";
import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { nameOf } from "../base/models.js";
import { colours, onThemeChange } from "../base/theme.js";
import { paintWeights } from "./tiles.js";

const NEAR = 0.02; // epochs: evaluations of both models that are closer are one place on the slider
const REPLAY_MS = 250;

/** Return the epochs, ascending, at which any of the models was evaluated. Pure. */
export function places(models) {
  const found = [];
  for (const epoch of Object.values(models).flatMap((model) => model.epoch).sort((a, b) => a - b)) {
    if (found.length > 0 && epoch - found.at(-1) < NEAR) found[found.length - 1] = epoch;
    else found.push(epoch);
  }
  return found;
}

/** Return the index of a model's newest evaluation up to a place, -1 where it had none yet. Pure. */
export const upTo = (epochs, place) => epochs.findLastIndex((epoch) => epoch <= place);

const slider = () => document.getElementById("filters-at");
const figureOf = (model) => document.querySelector(`#filters [data-filters="${model}"]`);

let inside = null; // the answer of /api/inside, and `of`, as api.js has it
let newest = true; // the slider stands at the end, and goes on with it
let replaying = null;
let known = new Map(); // answers of /api/filters, by model and step
let largest = {}; // by model: the largest weight seen in this run, which has the full colour
let busy = false;
let again = false;

const key = (model, step) => `${model} ${step}`;

/** Return what to show of each model: {model: index of its evaluation}. */
function chosen() {
  const all = places(inside.models);
  const place = all[Number(slider().value)] ?? all.at(-1);
  return Object.fromEntries(Object.entries(inside.models).map(([model, { epoch }]) => [model, upTo(epoch, place)]));
}

async function load(model, step) {
  if (known.has(key(model, step))) return;
  const { run, of } = inside;
  const answer = await api.fetchFilters(model, step, of);
  if (run !== inside.run) return;
  known.set(key(model, step), answer);
  largest[model] = Math.max(largest[model] ?? 0, answer.scale);
}

function paint(model, index) {
  const figure = figureOf(model);
  const canvas = figure.querySelector("canvas");
  const { step, epoch, filters } = inside.models[model];
  const answer = known.get(key(model, step[index]));
  canvas.hidden = !answer;
  if (!answer) return write(figure.querySelector(".says"), "no evaluation yet");
  paintWeights(canvas, answer, largest[model] || 1, colours("below", "zero", "above"));
  const some = filters.shown < filters.count ? `${filters.shown} of ${filters.count}` : String(filters.count);
  const size = largest[model].toPrecision(2);
  write(figure.querySelector(".says"), `epoch ${format.epoch(epoch[index])} · ${some} filters ${answer.side}×${answer.side} · from −${size} to ${size}`);
  canvas.setAttribute("aria-label", `First-layer filters of ${nameOf(model)} at epoch ${format.epoch(epoch[index])}`);
}

function showPlace() {
  const all = places(inside.models);
  slider().disabled = all.length < 2;
  slider().max = Math.max(0, all.length - 1);
  if (newest) slider().value = all.length - 1;
  const at = Number(slider().value);
  const text = all.length === 0 ? "–" : `epoch ${format.epoch(all[at])}${at === all.length - 1 ? " (newest)" : ""}`;
  write(document.getElementById("filters-place"), text);
  slider().setAttribute("aria-valuetext", text);
  const button = document.getElementById("filters-replay");
  button.disabled = all.length < 2;
  write(button, replaying ? "Stop" : "Replay");
}

/** Show what the slider stands at; a move during the asking is answered after it, the last one only. */
async function show() {
  showPlace();
  again = busy;
  if (busy) return;
  busy = true;
  try {
    const wanted = Object.entries(chosen());
    await Promise.all(wanted.filter(([, index]) => index >= 0).map(([model, index]) => load(model, inside.models[model].step[index])));
    for (const [model, index] of wanted) paint(model, index);
  } finally {
    busy = false;
  }
  if (again) await show();
}

function repaint() {
  if (inside) for (const [model, index] of Object.entries(chosen())) paint(model, index);
}

function stopReplay() {
  clearInterval(replaying);
  replaying = null;
}

function toggleReplay(move) {
  if (replaying) {
    stopReplay();
    return showPlace();
  }
  if (Number(slider().value) === Number(slider().max)) slider().value = 0;
  replaying = setInterval(() => {
    const next = Number(slider().value) + 1;
    if (next >= Number(slider().max)) stopReplay();
    slider().value = next;
    move();
  }, REPLAY_MS);
  move();
}

/** Show the filters of what /api/inside answered. Another run begins at its newest evaluation. */
export async function showFilters(answer) {
  if (answer.run !== inside?.run) {
    stopReplay();
    newest = true;
    known = new Map();
    largest = {};
  }
  inside = answer;
  await show();
}

/** Bind slider and replay; `onProblem(text)` says what the server refused. */
export function connectFilters(onProblem) {
  const move = async () => {
    newest = slider().value === slider().max;
    try {
      await show();
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      onProblem(`${error.message}.`);
    }
  };
  slider().addEventListener("input", () => {
    stopReplay();
    move();
  });
  document.getElementById("filters-replay").addEventListener("click", () => toggleReplay(move));
  onThemeChange(repaint);
}
