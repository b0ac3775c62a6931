/** The repeats tab: the same comparison with new seeds, again and again, and what all of it says together. */

import * as api from "../base/api.js";
import { drawSmall } from "../figure/charts.js";
import { differing } from "../settings/difference.js";
import { make, write } from "../base/dom.js";
import { parseTyped } from "../settings/form.js";
import * as format from "../base/format.js";
import { watchSight } from "../base/sight.js";
import { gaps, means, winner } from "../figure/spread.js";
import { onThemeChange } from "../base/theme.js";

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

/** Return what a series compares as a sentence; `titles` are the settings' names by key. Pure. */
export function settingsOf(configs, titles) {
  if (!configs) return "";
  const keys = differing(configs.model1, configs.model2).filter((key) => key !== "seed");
  if (keys.length === 0) return "Both models are set alike, and have the same seeds: they train alike.";
  const each = keys.map((key) => `${titles[key] ?? key} ${format.setting(configs.model1[key])} (model 1) against ${format.setting(configs.model2[key])} (model 2)`);
  return `${each.join("; ")}.`;
}

/** Return what a series with these settings trains as a sentence. Pure. */
export function plan(configs, titles) {
  const { epochs, batch_size: batch } = configs.model1;
  const shared = [epochs === configs.model2.epochs && `${epochs} ${epochs === 1 ? "epoch" : "epochs"}`, batch === configs.model2.batch_size && `batch size ${batch}`].filter(Boolean);
  return `The next series trains: ${settingsOf(configs, titles)}${shared.length ? ` Both: ${shared.join(", ")}.` : ""}`;
}

/** Say beside the button what the next series trains. */
export const showPlan = (configs, titles) => write(byId("plan"), plan(configs, titles));

/** Return a gap in points with its sign, as text. Pure. */
export const points = (delta) => (delta === null || delta === undefined ? "–" : `${delta < 0 ? "−" : "+"}${Math.abs(100 * delta).toFixed(2)}`);

/** Return the gap of a pair as its winner's mark stands before it: how far that one is ahead. Pure. */
export const lead = (pair) => (winner(pair) ? Math.abs(pair.delta) : pair.delta);

/** Return who won how many as a sentence; "" where a training failed: then the result says it. Pure. */
export function score({ pairs, wins1, wins2, ties, mean }) {
  if (mean === null) return "";
  const tied = ties ? `, ${ties} ${ties === 1 ? "tie" : "ties"}` : "";
  return `Model 1 won ${wins1}, model 2 won ${wins2} of ${pairs}${tied}.`;
}

/** Show the tab, ready to start a series of so many pairs. */
export function openRepeats(pairs) {
  document.getElementById("tab-repeats").click();
  byId("count").value = String(pairs);
  byId("start").focus({ preventScroll: true });
  document.getElementById("panel-repeats").scrollIntoView({ block: "start" });
}

/**
 * Bind the tab. `settings()` are those of both forms, `titles()` the settings' names, `isActive()` whether something trains;
 * `onFaults(fields)` shows faults in the forms, `onOpen(pair)` shows a pair's run, `afterwards` is called after each command.
 * Returns `refresh(isNews)`, to be called at each poll.
 */
export function connectRepeats({ settings, titles, isActive, onFaults, onOpen, onProblem, afterwards }) {
  let series = null; // the answer of /api/repeats
  let said = "";

  /** What stands in the last column but one: the gap, who won by the other's failure, or why there is neither. */
  function outcome(pair) {
    if (!hasEnded(pair)) return [pair.state];
    if (pair.state !== "failed") return [points(lead(pair))];
    const who = winner(pair);
    return who ? [make("span", { class: "unseen", text: `${who.replace("model", "model ")} ` }), "won"] : ["tie"];
  }

  function row(pair, index) {
    const open = make("button", { type: "button", class: "quiet", text: "Open", title: `Show pair ${index + 1}, seed ${pair.seed}` });
    open.hidden = !pair.run; // its turn has not come
    open.addEventListener("click", () => onOpen({ id: pair.run, title: `repeat ${index + 1} of ${series.wanted}, seed ${pair.seed}` }));
    const ahead = winner(pair) ?? "";
    const reached = (model) => make("td", { text: pair.failed.includes(model) ? "failed" : format.percent(pair[model]) });
    const gap = make("td", { "data-of": ahead }, make("span", { class: "sign", "aria-hidden": "true", text: { model1: "● ", model2: "◆ " }[ahead] ?? "" }), ...outcome(pair));
    return make("tr", { "data-run": pair.run }, make("th", { scope: "row", text: String(index + 1) }), make("td", { text: String(pair.seed) }),
      reached("model1"), reached("model2"), gap, make("td", {}, open));
  }

  function showResult({ result }) {
    byId("result").hidden = !result;
    if (!result) return;
    const [head, rest] = byId("result").children; // what is so, and why
    const colon = result.text.indexOf(":");
    byId("result").dataset.leader = result.claim ?? "";
    write(head, result.text.slice(0, colon));
    write(rest, [result.text.slice(colon), score(result)].join(" ").trim());
  }

  function showButtons() {
    const running = series?.state === "running";
    byId("stop").hidden = !running;
    byId("continue").hidden = !["interrupted", "stopped"].includes(series?.state);
    byId("start").hidden = byId("plan").hidden = byId("count").parentElement.hidden = running;
    for (const name of ["start", "continue"]) byId(name).disabled = isActive();
    byId("start").title = isActive() ? "Something trains: stop it first" : "";
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
    showPlan(settings(), titles());
    if (series) showButtons();
    if (series && !isNews && series.state !== "running") return;
    try {
      series = await api.fetchRepeats();
      onProblem("");
      await show();
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      if (error.status) onProblem(`The repeats cannot be shown: ${error.message}.`);
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
      write(fault, runs ?? (Object.keys(others).length ? "A setting in the forms above cannot be used." : `${error.message}.`));
      onFaults(others);
    }
    byId("stop").disabled = false;
    await refresh();
    showButtons();
    afterwards();
  }

  const inSight = watchSight(document.getElementById("panel-repeats"), () => refresh());
  const start = () => attempt(() => api.startRepeats(parseTyped(byId("count").value, "integer"), settings()));
  byId("start").addEventListener("click", start);
  byId("count").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !byId("start").hidden && !byId("start").disabled) start();
  });
  byId("stop").addEventListener("click", () => attempt(api.stopRepeats));
  byId("continue").addEventListener("click", () => attempt(() => api.continueRepeats(series.series)));
  onThemeChange(draw);
  return refresh;
}
