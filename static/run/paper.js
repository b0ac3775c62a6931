/** A run on paper, on one page: its name and date, figure and verdict, and every setting of both models. */

import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { MODELS } from "../base/models.js";
import { lighten } from "../base/theme.js";
import { fitPaper } from "../figure/charts.js";
import { differing } from "../settings/difference.js";
import { typedSettings } from "../settings/form.js";
import { titleOfRun } from "./past.js";
import { pastRun, pastRuns, serverNow, shownRun, titles } from "./state.js";

const WIDTH_PX = 680; // what fits between the margins of A4 and of US Letter

/** Return the settings as rows [title, value of model 1, of model 2, whether they differ]. Pure. */
function settingRows(settings, schema) {
  const [one, two] = MODELS.map((model) => settings[model]);
  const different = differing(one, two);
  return Object.entries(schema).map(([key, { title, unit }]) => {
    const say = (value) => [format.setting(value), unit].filter(Boolean).join(" ");
    return [title, say(one[key]), say(two[key]), different.includes(key)];
  });
}

/** Write what only paper shows. */
function writeDown() {
  const { run, models } = shownRun();
  const settings = run ? Object.fromEntries(MODELS.map((model) => [model, models[model].config])) : typedSettings();
  const known = pastRuns().runs.find(({ id }) => id === run);
  const [name, date] = document.getElementById("paper-head").children;
  write(name, known ? titleOfRun(known, titles()) : (pastRun()?.title ?? ""));
  write(date, format.moment(known?.started ?? new Date().toISOString()));
  const rows = settingRows(settings, serverNow().schema?.properties ?? {}).map(([title, one, two, isOther]) =>
    make("tr", isOther ? { class: "differs" } : {}, make("th", { scope: "row", text: isOther ? `${title} ≠` : title }), make("td", { text: one }), make("td", { text: two })));
  document.querySelector("#paper-settings tbody").replaceChildren(...rows);
}

export function connectPaper() {
  window.addEventListener("beforeprint", () => {
    writeDown();
    lighten(true);
    fitPaper(WIDTH_PX);
  });
  window.addEventListener("afterprint", () => {
    lighten(false);
    fitPaper();
  });
}
