/** Make model 2 like model 1: wholly, or but for one setting that is then there to be changed. */

import { MODELS } from "../base/models.js";
import { fillSettings, focusField, readSettings } from "./form.js";

/** Bind both controls; `onCopy` is called after model 2 was filled. */
export function connectCopying(onCopy) {
  const [source, target] = MODELS;
  const copy = () => {
    fillSettings(target, readSettings(source));
    onCopy();
  };
  document.getElementById("copy").addEventListener("click", copy);
  const menu = document.getElementById("except");
  menu.addEventListener("change", () => {
    const key = menu.value;
    menu.value = "";
    copy();
    focusField(target, key);
  });
}
