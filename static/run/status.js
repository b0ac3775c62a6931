/** The server as the page sees it: there or gone, loading or ready, and on what device. */

import { write } from "../base/dom.js";
import { onLatest, onServer, serverNow } from "./state.js";

const show = (id, text) => write(document.getElementById(id), text);

const KINDS = ["connection", "loading", "damage", "saving", "action", "link", "chart", "smoothing", "comparison", "place", "history", "inside", "repeats"];
const problems = Object.fromEntries(KINDS.map((kind) => [kind, ""])); // said in this order

const READING_MS = 6000;
let refusedAt = 0; // when the problem with an action was shown
let isRefusalOver = () => false;

/** Show a problem of one kind in the banner until it is mended ("") or dismissed. */
export function showProblem(kind, text) {
  if (kind === "action") isRefusalOver = () => false;
  if (problems[kind] === text) return;
  problems[kind] = text;
  if (kind === "action") refusedAt = Date.now();
  const all = Object.values(problems).filter(Boolean).join(" ");
  show("problem", all);
  document.getElementById("banner").hidden = all === "";
}

/** Show that an action was refused, until `isOver()`. */
export function showRefusal(text, isOver) {
  showProblem("action", text);
  isRefusalOver = isOver;
}

/** Take back what an action was refused for, once it is so all the same, or could be read and the server answers again. */
function forgetRead() {
  if (isRefusalOver() || Date.now() - refusedAt > READING_MS) showProblem("action", "");
}

/** Say that the server answers. */
function showConnected() {
  document.getElementById("connection").dataset.connection = "live";
  show("connection", "live");
  showProblem("connection", "");
}

/** Say that the server does not answer; `delay` is the milliseconds until the next try. */
export function showLost(error, delay) {
  document.getElementById("connection").dataset.connection = "lost";
  show("connection", "no connection");
  const seconds = Math.round(delay / 1000);
  showProblem("connection", `Lost touch with the server: ${error.message}. Trying again in ${seconds} s; what it measures meanwhile will be filled in.`);
}

function showDevice() {
  const { device, cores } = serverNow();
  const processor = cores ? `CPU, ${cores} ${cores === 1 ? "core" : "cores"}` : "CPU";
  show("device", device === "cpu" ? processor : (device ?? ""));
  document.getElementById("device").title = document.getElementById("device").textContent; // a long one is cut
}

export function connectStatus() {
  const banner = document.getElementById("banner");
  banner.querySelector("button").addEventListener("click", () => (banner.hidden = true));
  onServer(() => {
    showDevice();
    showProblem("loading", serverNow().problem ?? "");
  });
  onLatest(({ problem, warning }) => {
    showConnected();
    forgetRead();
    showProblem("saving", problem);
    showProblem("damage", warning);
  });
}
