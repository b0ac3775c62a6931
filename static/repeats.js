/** The repeats tab: the same comparison with new seeds, again and again, and what all of it says together. */

import * as api from "./api.js";
import { drawSmall } from "./charts.js";
import { differing } from "./difference.js";
import { make, write } from "./dom.js";
import { parseTyped } from "./form.js";
import * as format from "./format.js";
import { watchSight } from "./sight.js";
import { gaps, means } from "./spread.js";
import { onThemeChange } from "./theme.js";

const byId = (name) => document.getElementById(`repeats-${name}`);
const isDone = ({ delta }) => delta !== null && delta !== undefined;

/** Return where a series stands as a sentence. Pure. */
export function stateOf({ state, wanted, pairs }) {
  const done = pairs.filter(isDone).length;
  if (state === "running") return `Pair ${Math.min(done + 1, wanted)} of ${wanted} is training.`;
  if (state === "finished") return `All ${wanted} pairs have finished.`;
  const why = state === "interrupted" ? "The series was interrupted" : "The series was stopped";
  return `${why} after ${done} of ${wanted} pairs.`;
}

/** Return what a series compares as a sentence; `titles` are the settings' names by key. Pure. */
export function settingsOf(configs, titles) {
  if (!configs) return "";
  const keys = differing(configs.model1, configs.model2).filter((key) => key !== "seed");
  if (keys.length === 0) return "Both models are set alike: what differs is chance alone.";
  const each = keys.map((key) => `${titles[key] ?? key} ${format.setting(configs.model1[key])} (model 1) against ${format.setting(configs.model2[key])} (model 2)`);
  return `${each.join("; ")}.`;
}

/** Return a gap in points with its sign, as text. Pure. */
export const points = (delta) => (delta === null || delta === undefined ? "–" : `${delta < 0 ? "−" : "+"}${Math.abs(100 * delta).toFixed(2)}`);

/** Return who won how many as a sentence. Pure. */
export function score({ pairs, wins1, wins2, ties }) {
  const tied = ties ? `, ${ties} ${ties === 1 ? "tie" : "ties"}` : "";
  return `Model 1 won ${wins1}, model 2 won ${wins2} of ${pairs}${tied}.`;
}

/**
 * Bind the tab. `settings()` are those of both forms, `titles()` the settings' names, `isActive()` whether something trains;
 * `onFaults(fields)` shows faults in the forms, `onOpen(pair)` shows a pair's run, `afterwards` is called after each command.
 * Returns `refresh(isNews)`, to be called at each poll.
 */
export function connectRepeats({ settings, titles, isActive, onFaults, onOpen, onProblem, afterwards }) {
  let series = null; // the answer of /api/repeats
  let said = "";

  function row(pair, index) {
    const open = make("button", { type: "button", class: "quiet", text: "Open", title: `Show pair ${index + 1}, seed ${pair.seed}` });
    open.hidden = !pair.run; // its turn has not come
    open.addEventListener("click", () => onOpen({ id: pair.run, title: `repeat ${index + 1} of ${series.wanted}, seed ${pair.seed}` }));
    const ahead = !isDone(pair) || pair.delta === 0 ? "" : pair.delta > 0 ? "model1" : "model2";
    const unfinished = isDone(pair) ? null : pair.state;
    const gap = make("td", { "data-of": ahead }, make("span", { class: "sign", "aria-hidden": "true", text: { model1: "● ", model2: "◆ " }[ahead] ?? "" }), unfinished ?? points(pair.delta));
    return make("tr", { "data-run": pair.run }, make("th", { scope: "row", text: String(index + 1) }), make("td", { text: String(pair.seed) }),
      make("td", { text: format.percent(pair.model1) }), make("td", { text: format.percent(pair.model2) }), gap, make("td", {}, open));
  }

  function showResult({ result }) {
    byId("result").hidden = !result;
    if (!result) return;
    const [head, rest] = byId("result").children; // what is so, and why
    const colon = result.text.indexOf(":");
    byId("result").dataset.leader = result.text.match(/^Model [12]/)?.[0].toLowerCase().replace(" ", "") ?? "";
    write(head, result.text.slice(0, colon));
    write(rest, `${result.text.slice(colon)} ${score(result)}`);
  }

  function showButtons() {
    const running = series?.state === "running";
    byId("stop").hidden = !running;
    byId("continue").hidden = !["interrupted", "stopped"].includes(series?.state);
    byId("start").hidden = byId("count").parentElement.hidden = running;
    for (const name of ["start", "continue"]) byId(name).disabled = isActive();
    byId("start").title = isActive() ? "Something trains: stop it first" : "";
  }

  async function draw() {
    if (!series?.series) return;
    const done = series.pairs.filter(isDone);
    byId("charts").hidden = done.length === 0;
    if (done.length === 0) return;
    byId("gaps").style.height = `${Math.max(17, 6 + 1.6 * done.length)}rem`;
    await Promise.all([drawSmall(byId("curves"), means(series.curves, series.series)), drawSmall(byId("gaps"), gaps(series.pairs, series.result, series.series))]);
  }

  async function show() {
    showButtons();
    const news = JSON.stringify(series);
    if (news === said) return;
    said = news;
    byId("found").hidden = !series.series;
    if (!series.series) return;
    write(byId("state"), stateOf(series));
    write(byId("settings"), settingsOf(series.configs, titles()));
    showResult(series);
    byId("pairs").tBodies[0].replaceChildren(...series.pairs.map(row));
    await draw();
  }

  async function refresh(isNews = true) {
    if (!inSight()) return;
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
