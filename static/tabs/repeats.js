/** The repeats tab: the same comparison with new seeds, again and again, and what all of it says together. */

import * as api from "../base/api.js";
import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { nameOf, signOf } from "../base/models.js";
import { askNow } from "../base/poller.js";
import { watchSight } from "../base/sight.js";
import { onThemeChange } from "../base/theme.js";
import { drawSmall } from "../figure/charts.js";
import { gaps, means, winner } from "../figure/spread.js";
import { differing } from "../settings/difference.js";
import { callByTitle, parseTyped, typedSettings } from "../settings/form.js";
import { onSettings, showAllFaults } from "../run/forms.js";
import { lookAt } from "../run/past.js";
import { closePastRun, isTraining, latestRun, onLatest, titles } from "../run/state.js";
import { showProblem } from "../run/status.js";
import { openTab } from "./tabs.js";

let series = null; // the answer of /api/repeats
let said = ""; // what the tab shows of it
let inSight = () => false;

const byId = (name) => document.getElementById(`repeats-${name}`);
const hasEnded = ({ state, delta }) => state === "failed" || (delta !== null && delta !== undefined);

/** Return where a series stands as a sentence. Pure. */
export function stateOf({ state, wanted, pairs }) {
  const count = (...states) => pairs.filter((pair) => states.includes(pair.state)).length;
  const [ended, failed, gone] = [pairs.filter(hasEnded).length, count("failed"), count("deleted", "missing")];
  const first = pairs.findIndex((pair) => pair.state !== "deleted" && !hasEnded(pair)); // the one that is on, or about to be
  if (state === "running") return `Pair ${first < 0 ? wanted : first + 1} of ${wanted} is training.`;
  const exceptions = [failed && `in ${failed} a training failed`, gone && `${gone} ${gone === 1 ? "is" : "are"} no longer in the history`];
  const but = exceptions.filter(Boolean).map((text) => `; ${text}`).join("");
  if (state === "finished") return but ? `The series of ${wanted} pairs has ended${but}.` : `All ${wanted} pairs have finished.`;
  return `The series was ${state === "interrupted" ? "interrupted" : "stopped"} after ${ended} of ${wanted} pairs${but}.`;
}

/** Return what a series compares as a sentence; `names` are the settings' names by key. Pure. */
export function settingsOf(configs, names) {
  if (!configs) return "";
  const keys = differing(configs.model1, configs.model2).filter((key) => key !== "seed");
  if (keys.length === 0) return "Both models are set alike, and have the same seeds: they train alike.";
  const each = keys.map((key) => `${names[key] ?? key} ${format.setting(configs.model1[key])} (model 1) against ${format.setting(configs.model2[key])} (model 2)`);
  return `${each.join("; ")}.`;
}

/** Return what a series with these settings trains as a sentence. Pure. */
export function plan(configs, names) {
  const { epochs, batch_size: batch } = configs.model1;
  const shared = [epochs === configs.model2.epochs && `${epochs} ${epochs === 1 ? "epoch" : "epochs"}`, batch === configs.model2.batch_size && `batch size ${batch}`].filter(Boolean);
  return `The next series trains: ${settingsOf(configs, names)}${shared.length ? ` Both: ${shared.join(", ")}.` : ""}`;
}

/** Say beside the button what the next series trains. */
const showPlan = () => write(byId("plan"), plan(typedSettings(), titles()));

/** Return a gap in points with its sign, as text. Pure. */
export const points = (delta) => (delta === null || delta === undefined ? "–" : format.signed(100 * delta, 2));

/** Return the gap of a pair as its winner's mark stands before it: how far that one is ahead. Pure. */
export const lead = (pair) => (winner(pair) ? Math.abs(pair.delta) : pair.delta);

/** Return who won how many as a sentence; "" where a training failed: then the result says it. Pure. */
export function score({ pairs, wins1, wins2, ties, mean }) {
  if (mean === null) return "";
  const tied = ties ? `, ${ties} ${ties === 1 ? "tie" : "ties"}` : "";
  return `Model 1 won ${wins1}, model 2 won ${wins2} of ${pairs}${tied}.`;
}

/** Return what stands in the last column but one: the gap, who won by the other's failure, or why there is neither. */
function outcome(pair) {
  if (!hasEnded(pair)) return [pair.state];
  if (pair.state !== "failed") return [points(lead(pair))];
  const who = winner(pair);
  return who ? [make("span", { class: "unseen", text: `${nameOf(who)} ` }), "won"] : ["tie"];
}

/** Show the run of a pair: {id, title}. */
const open = (run) => (run.id === latestRun().run ? closePastRun() : lookAt(run));

function row(pair, index) {
  const button = make("button", { type: "button", class: "quiet", text: "Open", title: `Show pair ${index + 1}, seed ${pair.seed}` });
  button.hidden = !pair.run; // its turn has not come
  button.addEventListener("click", () => open({ id: pair.run, title: `repeat ${index + 1} of ${series.wanted}, seed ${pair.seed}` }));
  const ahead = winner(pair);
  const reached = (model) => make("td", { text: pair.failed.includes(model) ? "failed" : format.percent(pair[model]) });
  const gap = make("td", { "data-of": ahead ?? "" }, make("span", { class: "sign", "aria-hidden": "true", text: ahead ? `${signOf(ahead)} ` : "" }), ...outcome(pair));
  return make("tr", { "data-run": pair.run }, make("th", { scope: "row", text: String(index + 1) }), make("td", { text: String(pair.seed) }),
    reached("model1"), reached("model2"), gap, make("td", {}, button));
}

function showResult({ result }) {
  byId("result").hidden = !result;
  if (!result) return;
  const [head, rest] = byId("result").children; // what is so, and why
  byId("result").dataset.leader = result.claim ?? "";
  write(head, result.first);
  write(rest, [`: ${result.second}`, score(result)].join(" ").trim());
}

function showButtons() {
  const running = series?.state === "running";
  byId("stop").hidden = !running;
  byId("continue").hidden = !["interrupted", "stopped"].includes(series?.state);
  byId("start").hidden = byId("plan").hidden = byId("count").parentElement.hidden = running;
  for (const name of ["start", "continue"]) byId(name).disabled = isTraining();
  byId("start").title = isTraining() ? "Something trains: stop it first" : "";
}

async function draw() {
  if (!series?.series) return;
  const ended = series.pairs.filter(hasEnded);
  byId("charts").hidden = ended.length === 0;
  if (ended.length === 0) return;
  const finished = ended.some(({ state }) => state !== "failed");
  byId("curves").closest("figure").hidden = !finished;
  byId("gaps").style.height = `${Math.max(17, 6 + 1.6 * ended.length)}rem`;
  await Promise.all([finished && drawSmall(byId("curves"), means(series.curves, series.series)), drawSmall(byId("gaps"), gaps(ended, series.result, series.series))]);
}

async function show() {
  showButtons();
  const news = JSON.stringify(series);
  if (news === said) return;
  said = news;
  byId("found").hidden = !series.series;
  if (!series.series) return;
  write(byId("heading"), `Latest series, started ${format.moment(series.started)}:`);
  write(byId("state"), stateOf(series));
  write(byId("settings"), settingsOf(series.configs, titles()));
  showResult(series);
  byId("pairs").tBodies[0].replaceChildren(...series.pairs.map(row));
  await draw();
}

async function refresh(isNews = true) {
  if (!inSight()) return;
  showPlan();
  if (series) showButtons();
  if (series && !isNews && series.state !== "running") return;
  try {
    series = await api.fetchRepeats();
    showProblem("repeats", "");
    await show();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (error.status) showProblem("repeats", `The repeats cannot be shown: ${error.message}.`);
  }
}

async function attempt(call) {
  const fault = byId("fault");
  for (const name of ["start", "stop", "continue"]) byId(name).disabled = true;
  try {
    await call();
    write(fault, "");
    byId("count").setAttribute("aria-invalid", "false");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    const { runs, ...others } = error.fields;
    byId("count").setAttribute("aria-invalid", String(runs !== undefined));
    write(fault, (runs && callByTitle(runs, "runs", "The number of pairs")) ?? (Object.keys(others).length ? "A setting in the forms above cannot be used." : `${error.message}.`));
    showAllFaults(others);
  }
  byId("stop").disabled = false;
  await refresh();
  showButtons();
  askNow();
}

const start = () => attempt(() => api.startRepeats(parseTyped(byId("count").value, "integer"), typedSettings()));

/** Show the tab, ready to start a series of so many pairs. */
export function openRepeats(pairs) {
  byId("count").value = String(pairs);
  openTab("repeats", byId("start"));
}

export function connectRepeats() {
  inSight = watchSight(document.getElementById("panel-repeats"), () => refresh());
  byId("start").addEventListener("click", start);
  byId("count").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !byId("start").hidden && !byId("start").disabled) start();
  });
  byId("stop").addEventListener("click", () => attempt(api.stopRepeats));
  byId("continue").addEventListener("click", () => attempt(() => api.continueRepeats(series.series)));
  onThemeChange(draw);
  onSettings(showPlan);
  showPlan();
  onLatest(({ isNews }) => {
    refresh(isNews); // nobody waits for it
  });
}
