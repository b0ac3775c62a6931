/** The tab to try both models in: a drawing, a picture of one's own or an image of the data set, and what they take it for. */

import * as api from "../base/api.js";
import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { MODELS, titleOf } from "../base/models.js";
import { lower, share } from "../base/wording.js";
import { isActive } from "../run/answers.js";
import { classes, latestRun, pastRun, serverNow, shownOf, shownRun } from "../run/state.js";
import { follow } from "./follow.js";
import { readPhoto } from "./photo.js";
import { answerOf, showAnswers } from "./probabilities.js";
import { connectSketch } from "./sketch.js";
import { loadSprite, makeTile } from "./sprite.js";
import { openTab } from "./tabs.js";

const PICKS = 12;
const DRAWING_MS = 120; // between two questions while the hand moves
const NOTHING = { label: null, models: { model1: null, model2: null } };
const INVITATION = "Draw, upload or take a picture: both models answer at once.";
const COMING = "answers after its first evaluation, a quarter into its first epoch.";
const SAVED = "has just ended, and its weights are being saved.";
const NOT_KEPT = "was not kept when this run ended.";

const byId = (id) => document.getElementById(id);
const table = byId("tryit-answers");
let sketch = null;
let picture = null; // {what, split, image}; without a split it is what the canvas shows
let picks = null;
let timer = null;
let reload = null;

/** Return which of these models have ended here whose weights the server has not yet. Pure. */
const unsaved = (answers, models, own) => own.filter((model) => !answers[model] && models[model].step > 0 && ["stopped", "finished"].includes(models[model].state));

/** Return the shown models that are of the latest run: of two trainings it may be one, or none. */
const ofLatest = () => MODELS.filter((model) => (pastRun()?.trainings?.[model].run ?? shownRun().run) === latestRun().run);

/** Return what the models say of a picture, or when they will; `waits` is for those whose weights are being saved. Pure. */
function sentence(what, { label, models }, names, { models: shown }, waits) {
  const truth = label === null ? "" : `: ${names[label]}`;
  const said = MODELS.map((model) => {
    const answer = models[model];
    if (!answer) return `${titleOf(model)} ${waits.includes(model) ? SAVED : isActive(shown[model].state) ? COMING : NOT_KEPT}`;
    const best = answerOf(answer.probabilities);
    if (best < 0) return `${titleOf(model)} has broken: its answer is not a number.`;
    return `${titleOf(model)} says ${lower(names[best])} (${share(answer.probabilities[best])}).`;
  });
  return `${what}${truth}. ${said.join(" ")}`;
}

/** Ask about another picture, not more often than a hand that draws can be followed. */
function take(wanted) {
  picture = wanted;
  byId("sketch-hint").hidden = picture !== null;
  write(byId("tryit-fault"), "");
  timer ??= setTimeout(() => {
    timer = null;
    reload();
  }, DRAWING_MS);
}

function show(answer, waits = []) {
  const of = (model) => answer.models[model]?.probabilities ?? null;
  showAnswers(table, { classes: classes(), shown: [...classes().keys()], truth: answer.label, model1: of("model1"), model2: of("model2") });
  for (const model of MODELS) {
    const epoch = answer.models[model]?.epoch;
    write(table.querySelector(`[data-when-of="${model}"]`), epoch === undefined ? "" : `after ${format.epoch(epoch)} epochs`);
  }
  write(byId("tryit-about"), picture ? sentence(picture.what, answer, classes(), shownRun(), waits) : INVITATION);
}

async function loadPicks() {
  const images = Array.from({ length: PICKS }, () => Math.floor(Math.random() * serverNow().images.test));
  const paint = await loadSprite("test", images);
  picks = images;
  byId("picks").replaceChildren(...images.map((image, index) => {
    const tile = makeTile();
    paint(tile, index);
    const button = make("button", { type: "button", class: "picture", "aria-label": `Test image ${format.count(image)}` }, tile);
    button.addEventListener("click", () => open({ split: "test", image }));
    return make("li", {}, button);
  }));
}

async function load(isLast) {
  if (!picks) await loadPicks();
  if (!picture) {
    show(NOTHING);
    return { at: null };
  }
  const { split, image } = picture;
  const answer = await api.predict(split ? { split, image } : { pixels: sketch.read() }, shownOf());
  const waits = isLast ? [] : unsaved(answer.models, shownRun().models, ofLatest());
  show(picture ? answer : NOTHING, waits); // it may have been cleared meanwhile
  return { at: answer.models, isWhole: waits.length === 0 };
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    write(byId("tryit-fault"), error instanceof api.ApiError ? `${error.message}.` : error.message);
  }
}

/** Take an image of the data set: {split, image}. */
async function open({ split, image }) {
  await attempt(async () => {
    const paint = await loadSprite(split, [image]);
    paint(byId("sketch"), 0);
    take({ what: `${split === "test" ? "Test" : "Validation"} image ${format.count(image)}`, split, image });
  });
}

/** Show the tab with an image of the data set, ready to be drawn on: {split, image}. */
export function openPicture(image) {
  openTab("tryit");
  open(image);
}

/** Take what the hand draws on the canvas, over what was there. */
function noteStroke() {
  const ground = picture?.ground ?? picture;
  take({ what: ground?.split ? `Your drawing on ${ground.what.toLowerCase()}` : "Your drawing", ground });
}

async function upload({ target }) {
  const [file] = target.files;
  target.value = ""; // so that the same file can be chosen again
  if (file) await attempt(async () => {
    sketch.write(await readPhoto(file));
    take({ what: `Your picture ${file.name}` });
  });
}

export function connectTryit() {
  sketch = connectSketch(byId("sketch"), {
    brush: () => Number(byId("sketch-brush").value),
    ink: () => (document.querySelector("[name='sketch-tool']:checked").value === "draw" ? "white" : "black"),
    onStroke: noteStroke,
  });
  reload = follow(byId("panel-tryit"), { load, onProblem: (text) => write(byId("tryit-about"), text) });
  byId("sketch-clear").addEventListener("click", () => {
    sketch.clear();
    take(null);
  });
  byId("more-picks").addEventListener("click", () => attempt(loadPicks));
  byId("upload").addEventListener("change", upload);
}
