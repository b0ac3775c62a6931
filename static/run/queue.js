/** The queue: comparisons that start one after another, as the server keeps them, to be moved and taken out. */

import * as api from "../base/api.js";
import { make, write } from "../base/dom.js";
import { askNow } from "../base/poller.js";
import { changes, eachChange } from "../settings/difference.js";
import { closePastRun, isStarting, isTraining, onLatest, onQueue, onServer, pastRun, queueNow, serverNow, takeQueue, titles } from "./state.js";
import { showProblem } from "./status.js";

const byId = (name) => document.getElementById(`queue-${name}`);

/** Return how the queue stands as a sentence. Pure. */
export function sentenceOf({ state, items: { length: count } }, isOn) {
  const many = `${count} ${count === 1 ? "comparison" : "comparisons"}`;
  if (state === "waiting") return `${many}, waiting for “Go on”`;
  return isOn ? `${many}, the next starts when this run has ended` : `${many}, the next is about to start`;
}

/** Ask for the queue; what the server does not answer now is asked again at the next poll. */
async function attempt(call) {
  try {
    await takeQueue(await call());
    write(byId("problem"), queueNow().problem ?? "");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (error.status) showProblem("action", `The line cannot be changed: ${error.message}.`);
  }
}

/** Move or take out a comparison; the focus stays on the same button of it, else goes to its row's first. */
async function change(item, action, body, act) {
  await attempt(() => api.changeQueue(item.id, action, body));
  const row = byId("items").querySelector(`[data-item="${CSS.escape(item.id)}"]`) ?? byId("items").firstElementChild;
  const same = row?.querySelector(`[data-act="${act}"]:enabled`) ?? row?.querySelector("button:enabled");
  (same ?? document.getElementById("start-next")).focus({ preventScroll: true });
}

function row(item, place, { length: count }) {
  const differing = [item.configs.model1, item.configs.model2, item.differing, titles()];
  const name = changes(...differing);
  const button = (act, text, title, isPossible, press) => {
    const element = make("button", { type: "button", class: "quiet icon", "data-act": act, "aria-label": `${title}: ${name}`, title, text });
    element.disabled = !isPossible;
    element.addEventListener("click", press);
    return element;
  };
  const move = (act, to) => () => change(item, "move", { to }, act);
  const said = make("span", { class: "queue-name", title: eachChange(...differing).join("\n"), text: name });
  return make("li", { "data-item": item.id }, said,
    button("up", "↑", "Earlier", place > 0, move("up", place - 1)),
    button("down", "↓", "Later", place < count - 1, move("down", place + 1)),
    button("out", "×", "Take out", true, () => change(item, "delete", {}, "out")));
}

function showState() {
  const isThere = queueNow().items.length > 0;
  const line = document.getElementById("queue");
  if (line.hidden && isThere) line.open = window.matchMedia("(min-height: 600px)").matches; // the figure is to stay in sight
  line.hidden = !isThere;
  write(byId("state"), isThere ? sentenceOf(queueNow(), isTraining()) : "");
  byId("go").hidden = queueNow().state !== "waiting";
  const next = document.getElementById("start-next");
  next.hidden = !isTraining() && !isThere;
  next.disabled = serverNow().status !== "ready" || isStarting();
}

function showQueue() {
  byId("items").replaceChildren(...queueNow().items.map(row));
  showState();
}

const refreshQueue = () => attempt(api.fetchQueue);

export function connectQueue() {
  onQueue(showQueue);
  onServer(showQueue); // it knows what the settings are called
  onLatest(({ queueRevision, isOtherServer }) => {
    showState();
    if (queueRevision !== queueNow().revision || (isOtherServer && queueRevision)) refreshQueue(); // nobody waits for it
  });
  byId("go").addEventListener("click", async () => {
    await attempt(api.goOnQueue);
    if (pastRun()) await closePastRun(); // it makes way for what starts
    askNow();
  });
}
