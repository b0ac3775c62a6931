/** Any two trainings, opened in the place of the latest run. Loaded when that is asked for. */

import * as api from "../base/api.js";
import { make } from "../base/dom.js";
import * as format from "../base/format.js";
import { MODELS, nameOf, signOf } from "../base/models.js";
import { fold } from "../settings/fold.js";
import { isSecret } from "./guess.js";
import { refreshRuns, titleOfRun } from "./past.js";
import { isPair, onWhich, openPair, pastRun, pastRuns, titles } from "./state.js";
import { showProblem } from "./status.js";
import { view } from "./view.js";

/** Return the address of the page for two trainings, {a, b}, of how many they were chosen, if they were. Pure. */
export const addressOf = ({ a, b }, among = null) => `/compare?a=${a}&b=${b}${among ? `&among=${among}` : ""}`;

const LETTERS = { model1: "A", model2: "B" };

/** Return what a training is called within a sentence: its letter, and which model of which run it is. */
function titleOf(slot, { run, model, name }) {
  const listed = pastRuns().runs.find(({ id }) => id === run);
  return `${signOf(slot)} ${LETTERS[slot]}, ${nameOf(model)} of ${listed ? titleOfRun(listed, titles()) : (name ?? run)}`;
}

/** Say which two are open, and what they have in common. */
function showPair() {
  document.body.classList.toggle("has-pair", isPair());
  if (!isPair()) return;
  const { trainings, history } = pastRun();
  const said = MODELS.map((slot) => {
    const [sign, ...title] = titleOf(slot, trainings[slot]);
    const text = `${title.join("")} (${format.moment(trainings[slot].started)})`;
    return make("span", { "data-of": slot }, make("span", { class: "sign", "aria-hidden": "true", text: sign }), text);
  });
  document.querySelector("#past > span").replaceChildren("Comparing ", said[0], " with ", said[1], ". ", make("small", { text: history.paired.text }));
}

/** Open two trainings: `of` is {a, b}. Throws ApiError, also where a run of theirs waits for a guess. */
async function open(of, among) {
  const { smoothing } = view();
  if ([of.a, of.b].some((each) => isSecret(each.split("/")[0]))) throw new api.ApiError(409, "a run of theirs waits for your guess");
  const answer = await api.fetchMetrics({ boot: null }, smoothing, among ? { ...of, among } : of);
  const { trainings, file } = answer;
  const runs = MODELS.map((slot) => trainings[slot].run);
  if (runs.some((run) => !pastRuns().runs.some(({ id }) => id === run))) await refreshRuns(...runs);
  const address = addressOf(of, among);
  const title = MODELS.map((slot) => titleOf(slot, trainings[slot])).join(" with ");
  fold(true); // before the drawing, which takes its time: what is unfolded meanwhile stays so
  await openPair({ id: address, title, of, among: among ?? undefined, runs, address, file, trainings }, answer, smoothing);
  showProblem("history", "");
  window.scrollTo({ top: 0 });
}

/** Open the two trainings that the query of an address names, unless they are. Throws ApiError. */
export async function openAddress(search) {
  const query = new URLSearchParams(search);
  const [a, b, among] = ["a", "b", "among"].map((name) => query.get(name));
  if (pastRun()?.id !== addressOf({ a, b }, among)) await open({ a: a ?? "", b: b ?? "" }, among);
}

/** Open two trainings, {a, b}, as the user asks for it; `among` how many they were chosen, if by what they came to. */
export async function compare(of, among = null) {
  try {
    await open(of, among);
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("history", `The two cannot be compared: ${Object.values(error.fields).join("; ") || error.message}.`);
  }
}

onWhich(showPair);
