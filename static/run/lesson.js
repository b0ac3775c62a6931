/** The lesson of the run that is shown: its question while it trains, and at the end what came of it. */

import { channel } from "../base/channel.js";
import { write } from "../base/dom.js";
import { recall, remember } from "../base/memory.js";
import { outcome } from "./guess.js";
import { comparisonOf, onComparison, onShown, onWhich, shownRun } from "./state.js";

const LESSONS = "lessons"; // run → {lesson, guess}
const MOST = 50; // runs whose lessons are kept
const SAID_BY_VERDICT = "test_accuracy"; // its numbers stand in the verdict

const byId = (name) => document.getElementById(name);
const kept = channel();

/** Remember that a run is a lesson, with what was guessed, "" where nothing was. */
export function keepLesson(run, lesson, guess) {
  const others = Object.entries(recall(LESSONS, {})).filter(([id]) => id !== run);
  remember(LESSONS, Object.fromEntries([...others, [run, { lesson, guess }]].slice(-MOST)));
  kept.tell();
}

/** Return {lesson, guess} of a run, null where it is none. */
const lessonOfRun = (run) => recall(LESSONS, {})[run] ?? null;

/**
 * Return what came of a lesson, by `outcomes` of /api/comparison: {text, leader}; null while it is not known. Pure.
 *
 * leader: who has more of the lesson's figure, null for nobody; not there where the question stays open.
 */
export function ending(lesson, { ended, figures }) {
  if (ended === "live") return null;
  if (ended !== "finished") return { text: lesson.ends[ended] };
  const { figure, model } = lesson.expects;
  const found = figures[figure];
  if (!found) return null; // the answers are not read yet
  const end = found.higher === null ? "close" : found.higher === model ? "expected" : "other";
  const numbers = figure === SAID_BY_VERDICT ? "" : found.text;
  return { text: `${numbers} ${lesson.ends[end]}`.trim(), leader: found.higher };
}

function showLesson() {
  const run = shownRun();
  const known = run.run ? lessonOfRun(run.run) : null;
  byId("lesson").hidden = known === null;
  if (!known) return;
  const { lesson, guess } = known;
  const end = comparisonOf(run) && ending(lesson, comparisonOf(run).outcomes);
  write(byId("lesson-title"), lesson.title);
  byId("lesson").dataset.ended = String(Boolean(end));
  write(byId("lesson-told"), end ? end.text : `${lesson.question} Watch: ${lesson.watch}`);
  write(byId("lesson-guessed"), end && "leader" in end ? outcome(guess, end) : "");
  byId("lesson-repeat").hidden = !end || lesson.change.key === "seed";
}

/** Bind the strip; `onRepeat(pairs)` opens what is needed to repeat what is shown, `nextOf(lesson)` and `onNext(lesson)` the lesson after it. */
export function connectLesson({ onRepeat, nextOf, onNext }) {
  const next = () => nextOf(lessonOfRun(shownRun().run).lesson);
  const showNext = () => {
    showLesson();
    if (!byId("lesson").hidden) write(byId("lesson-next"), `Next: ${next().title}`);
  };
  for (const hear of [onShown, onWhich, onComparison, kept.on]) hear(showNext);
  byId("lesson-repeat").addEventListener("click", () => onRepeat(5));
  byId("lesson-next").addEventListener("click", () => onNext(next()));
}
