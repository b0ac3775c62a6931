/** Lessons: ready comparisons that differ in one setting, chosen from cards, guessed at, and started. */

import * as api from "../base/api.js";
import { write } from "../base/dom.js";
import { MODELS } from "../base/models.js";
import { askNow } from "../base/poller.js";
import { isLessonLink, lessonsOf } from "../settings/link.js";
import { startWith } from "./forms.js";
import { keepLesson } from "./lesson.js";
import { isStarting, isTraining, onLatest, onServer, onShown, pairInTraining, queueNow, serverNow, shownRun } from "./state.js";
import { showProblem } from "./status.js";
import { chooseView } from "./view.js";

const MOST_FAULTS = 3; // of a link's lessons that are told

const byId = (name) => document.getElementById(name);
const dialog = byId("lessons");
const list = byId("lesson-cards");
const waiting = { lesson: null, guess: "" }; // what starts once it can
let asked = null; // the lesson whose guess is asked for

const cards = () => [...list.querySelectorAll(".lesson-card")];
const lessonOf = (card) => JSON.parse(card.dataset.lesson);
const lessons = () => cards().map(lessonOf);
const settingsOf = (lesson) => Object.fromEntries(MODELS.map((model) => [model, lesson[model]]));

/** Return the lesson after one; the first one after the last, and after one that is not among them. Pure. */
export const after = (all, id) => all[(all.findIndex((lesson) => lesson.id === id) + 1) % all.length];

/** Return the lesson that comes after one among those that are offered. */
export const lessonAfter = ({ id }) => after(lessons(), id);

const inLine = () => (queueNow().state === "running" ? queueNow().items.length : 0);
const canStart = () => serverNow().status === "ready" && !isTraining() && !pairInTraining() && !inLine();

/** Say when a lesson that is chosen now starts. */
function whenItStarts() {
  const before = [isTraining() && "what trains now", inLine() && `the ${inLine()} in line`].filter(Boolean);
  if (before.length === 0) return "as soon as the server is ready";
  return `when ${before.join(" and ")} ${before.length + inLine() > 2 ? "have" : "has"} ended`;
}

function makeCard(lesson) {
  const card = byId("lesson-card").content.firstElementChild.cloneNode(true);
  const says = { ...lesson, change: lesson.change.title, model1: lesson.change.model1, model2: lesson.change.model2 };
  card.querySelector("button").dataset.lesson = JSON.stringify(lesson);
  for (const part of card.querySelectorAll("[data-says]")) part.textContent = says[part.dataset.says];
  return card;
}

// The dialog: first the cards, then the guess

function show({ isAsking }) {
  byId("lessons-choose").hidden = isAsking;
  byId("lessons-ask").hidden = !isAsking;
  if (!isAsking) {
    write(byId("lessons-title"), "Lessons");
    byId("lessons-choose").append(list); // from their home on the empty page
  }
  if (!dialog.open) dialog.showModal();
}

/** Offer all lessons. */
function offerLessons() {
  show({ isAsking: false });
  cards()[0].focus();
}

/** Ask for a guess about a lesson; it starts with the answer. */
export function askAbout(lesson) {
  asked = lesson;
  const { change } = lesson;
  write(byId("lessons-title"), lesson.title);
  write(byId("lesson-question"), lesson.question);
  write(byId("lesson-differs"), `One setting differs: ${change.title}, ${change.model1} in model 1, ${change.model2} in model 2.`);
  write(byId("lesson-asks"), lesson.asks);
  for (const model of MODELS) write(dialog.querySelector(`[data-lesson-guess="${model}"] [data-value]`), ` (${change[model]})`);
  showDelay();
  show({ isAsking: true });
  dialog.querySelector("[data-lesson-guess]").focus();
}

/** Say in the dialog what a lesson would have to wait for. */
function showDelay() {
  write(byId("lesson-delay"), canStart() ? "" : `${isTraining() ? "Nothing is stopped: the" : "The"} lesson starts ${whenItStarts()}.`);
}

function goHome() {
  byId("lessons-home").append(list);
}

// Starting

async function begin({ lesson, guess }) {
  chooseView("axis", lesson.axis);
  await startWith(settingsOf(lesson), (run) => keepLesson(run, lesson, guess));
}

function wait(lesson, guess) {
  Object.assign(waiting, { lesson, guess });
  showWaiting();
}

function showWaiting() {
  const { lesson } = waiting;
  byId("lesson-waits").hidden = lesson === null;
  if (!lesson) return;
  write(byId("lesson-waits").querySelector("p"), `Next lesson: “${lesson.title}” starts ${whenItStarts()}, while this page is open.`);
  byId("lesson-now").hidden = !isTraining();
}

async function beginWaiting() {
  showDelay();
  showWaiting();
  if (!waiting.lesson || isStarting() || !canStart()) return;
  const next = { ...waiting };
  wait(null, "");
  await begin(next);
}

function answer(guess) {
  dialog.close();
  if (canStart() && !isStarting()) begin({ lesson: asked, guess });
  else wait(asked, guess);
}

async function stopForWaiting() {
  try {
    await api.act("stop");
    showProblem("action", "");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (error.status !== 409) showProblem("action", `Could not stop: ${error.message}.`); // with 409 it has just ended
  }
  askNow();
}

// A link

/** Offer the lessons that the page's address holds, once the server has found nothing wrong with them. */
async function readLink() {
  if (!isLessonLink(window.location.hash)) return;
  try {
    const { lessons: found, given } = await api.checkLessons(lessonsOf(window.location.hash));
    list.replaceChildren(...found.map(makeCard));
    showProblem("link", "");
    if (given === 1) askAbout(found[0]);
    else if (shownRun().run) offerLessons();
  } catch (error) {
    if (!(error instanceof api.ApiError || error instanceof SyntaxError)) throw error;
    const faults = Object.entries(error.fields ?? {}).slice(0, MOST_FAULTS).map(([place, fault]) => `${place}: ${fault}`);
    showProblem("link", `The link's lessons cannot be used: ${faults.join("; ") || error.message}.`);
  }
}

export function connectLessons() {
  document.addEventListener("click", (event) => {
    const card = event.target.closest(".lesson-card");
    if (card) askAbout(lessonOf(card));
  });
  for (const button of document.querySelectorAll("[data-lessons]")) button.addEventListener("click", offerLessons);
  for (const button of dialog.querySelectorAll("[data-lesson-guess]")) button.addEventListener("click", () => answer(button.dataset.lessonGuess));
  byId("preset-lesson").addEventListener("click", (event) => {
    const lesson = lessons().find(({ id }) => id === event.target.dataset.offers);
    if (lesson) askAbout(lesson);
    else offerLessons(); // a link's lessons have taken its place
  });
  byId("lessons-all").addEventListener("click", offerLessons);
  dialog.querySelector("[data-no]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", goHome);
  byId("lesson-now").addEventListener("click", stopForWaiting);
  byId("lesson-not").addEventListener("click", () => wait(null, ""));
  onShown(() => {
    byId("lessons-home").hidden = shownRun().run !== null;
  });
  onServer(beginWaiting);
  onLatest(() => void beginWaiting());
  window.addEventListener("hashchange", readLink);
  readLink();
}
