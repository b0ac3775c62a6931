/** What the page knows. It is kept here alone, and changed by these functions, which tell whoever listens. */

import { channel } from "../base/channel.js";
import { anyActive, merge, NO_HISTORY } from "./answers.js";

let server = { status: "loading", images: { train: 1 } };
let latest = NO_HISTORY;
let repeat = null;
let warning = "";
let past = null;
let runs = { runs: [], deleted: [] };
let overlays = [];
let comparison = null;
let starting = false;
let queue = { state: "idle", problem: null, revision: 0, items: [] };

/** Whether another run follows without being asked for: the next pair of a series, the next in line. */
export const goesOnByItself = () => repeat !== null || queue.state === "running";

/** The server's answer to /api/config. */
export const serverNow = () => server;
/** The settings' titles by key, and the names of the ten classes; none before the server has answered. */
export const titles = () => Object.fromEntries(Object.entries(server.schema?.properties ?? {}).map(([key, { title }]) => [key, title]));
export const classes = () => server.classes ?? [];
export const latestRun = () => latest;
export const isTraining = () => anyActive(latest);
/** Whether a start has been asked for and not yet been answered. */
export const isStarting = () => starting;
/** {pair, of} of the pair of a series that trains, else null. */
export const pairInTraining = () => repeat;
/**
 * What is open in the place of the latest run, else null: a past run, or any two trainings. {id, title, history}, `of`, which
 * names it to the server, `runs`, which it is of, and its `address`; of a run also {started, checkpoints, parent}.
 */
export const pastRun = () => past;
/** Whether any two trainings are open, and not a run. */
export const isPair = () => past?.of.a !== undefined;
/** The run that cards, figure, verdict and tabs show. */
export const shownRun = () => past?.history ?? latest;
/** What names to the server what is shown. */
export const shownOf = () => past?.of ?? {};
/** Whether what is shown is the latest run, or two trainings of which one is of it. */
export const isLatestShown = () => past === null || (isPair() && past.runs.includes(latest.run));
/** {runs, deleted}: all past runs, and those that can still be restored, newest first. */
export const pastRuns = () => runs;
/** The past runs behind the curves, as /api/runs/<id> answers them, with `title` and `smoothing`. */
export const runsBehind = () => overlays;
/** Return the answer of /api/comparison on a run, null while it is not known. */
export const comparisonOf = ({ run }) => (comparison?.run === run ? comparison : null);

/** The comparisons in the queue, as /api/queue answers them. */
export const queueNow = () => queue;

const changes = {
  server: channel(),
  latest: channel(),
  which: channel(),
  shown: channel(),
  runs: channel(),
  curves: channel(),
  comparison: channel(),
  queue: channel(),
};

/** Hears `isNowReady`: the server has told of itself, and can train from now on. */
export const onServer = changes.server.on;
/** Hears what is new about the latest run, as `take` returns it, at each poll. */
export const onLatest = changes.latest.on;
/** Hears that another run is shown, or that the latest has ended. */
export const onWhich = changes.which.on;
/** Hears at each poll, and when another run is shown, whether there is news of the run that is shown. */
export const onShown = changes.shown.on;
/** Hears that the list of past runs was answered. */
export const onRuns = changes.runs.on;
/** Hears that past runs are smoothed anew, or others lie behind the curves. */
export const onCurves = changes.curves.on;
/** Hears the answer of /api/comparison on the shown run. */
export const onComparison = changes.comparison.on;

/** Hears that the comparisons in the queue were answered. */
export const onQueue = changes.queue.on;

export function takeServer(answer) {
  const isNowReady = answer.status === "ready" && server.status !== "ready";
  server = answer;
  return changes.server.tell(isNowReady);
}

/** Return the run that has come to its end between two answers, null where none has: of a series the last one, when all of it has. Pure. */
export function endedBetween(before, now) {
  const isFork = Object.values(now.models).some(({ events }) => events?.kind?.includes("forked"));
  if (now.boot !== before.boot || (isFork && now.run !== before.run)) return null;
  if (before.repeat || now.repeat) return anyActive(now) || now.repeat ? null : now.run;
  return anyActive(before) && (now.run !== before.run || !anyActive(now)) ? before.run : null;
}

/**
 * Work an answer of /api/metrics in, smoothed over `smoothing` images, and return what is new. A run that was started takes
 * the place of a past one; the next in line and the next pair, which start by themselves, leave it open.
 */
export function take(answer, smoothing) {
  const before = { ...latest, repeat };
  latest = { ...merge(latest, answer), smoothing };
  repeat = answer.repeat ?? null;
  warning = answer.warning ?? (answer.reset ? "" : warning); // it is told once
  const isNewRun = answer.run !== before.run;
  if (isNewRun && answer.run && !(anyActive(before) || goesOnByItself())) past = null;
  const ended = endedBetween(before, { ...latest, repeat });
  const news = {
    isNews: answer.reset || Object.keys(answer.models).length > 0,
    isNewRun,
    isOtherServer: answer.boot !== before.boot, // the first one, or one that was started again
    hasEnded: !isNewRun && anyActive(before) && !anyActive(latest),
    ended,
    runBefore: before.run,
    problem: answer.problem ?? "",
    warning,
    queueRevision: answer.queue ?? 0,
  };
  changes.latest.tell(news);
  return news;
}

export const tellWhich = () => changes.which.tell();
export const tellShown = (isNews) => changes.shown.tell(isNews);

async function tellAnother() {
  await tellWhich();
  await tellShown(true);
}

const historyOf = ({ id, history = NO_HISTORY }, answer, smoothing) => ({ ...merge(history, { ...answer, run: id }), smoothing });
const runOf = ({ started, checkpoints, parent }) => ({ started, checkpoints, parent });

/** Put a past run in the place of the latest; `answer` is that of /api/runs/<id>, smoothed over `smoothing` images. */
export function openPastRun(id, title, answer, smoothing) {
  past = { id, title, of: { run: id }, runs: [id], address: `/run/${id}`, ...runOf(answer), history: historyOf({ id }, answer, smoothing) };
  return tellAnother();
}

/** Put any two trainings in the place of the latest run; `pair` is as pastRun() has it, `answer` that of /api/metrics. */
export function openPair(pair, answer, smoothing) {
  past = { ...pair, history: historyOf(pair, answer, smoothing) };
  return tellAnother();
}

/** Work in what is new of the two trainings that are open. */
export async function takePair(answer, smoothing) {
  past = { ...past, history: historyOf(past, answer, smoothing) };
  if (answer.reset) await tellWhich();
}

export function closePastRun() {
  past = null;
  return tellAnother();
}

export function takeRuns(answer) {
  runs = { deleted: [], ...answer };
  return changes.runs.tell();
}

/** Lay past runs behind the curves; `answer` is that of what is open, where that is smoothed anew as well. */
export function takeCurves(behind, smoothing, answer = null) {
  overlays = behind;
  if (answer) past = { ...past, ...runOf(answer), history: historyOf({ id: past.id }, answer, smoothing) };
  return changes.curves.tell();
}

export function takeComparison(answer) {
  comparison = answer;
  return changes.comparison.tell(answer);
}

export function takeQueue(answer) {
  queue = answer;
  return changes.queue.tell();
}

/** Note that a start was asked for, or answered. */
export function setStarting(on) {
  starting = on;
}
