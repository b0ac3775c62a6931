/** A notification when a comparison has ended, for those who asked for one. */

import { recall, remember } from "../base/memory.js";

const KEY = "notify";
const switchOf = () => document.getElementById("notify");
const wanted = () => switchOf().ariaPressed === "true";

function show(on) {
  switchOf().ariaPressed = String(on);
  switchOf().title = on ? "You will be notified when both models have ended" : "Notify me when both models have ended";
}

async function toggle() {
  const on = !wanted() && (await Notification.requestPermission()) === "granted";
  remember(KEY, on);
  show(on);
}

/** Bind the switch, where the browser has notifications. Permission is asked for on a click only. */
export function connectNotify() {
  if (!("Notification" in window)) return;
  switchOf().hidden = false;
  switchOf().addEventListener("click", toggle);
  show(recall(KEY) === true && Notification.permission === "granted");
}

/** Tell that the comparison has ended. */
export function notifyEnd(text) {
  if (wanted()) new Notification("FashionMNIST: both models have ended", { body: text, tag: "end" });
}
