/** The mistakes tab: the images on which the models are right or wrong, with what both answer. */

import * as api from "../base/api.js";
import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { nothing, sum, whichImages } from "../base/wording.js";
import { anyActive } from "../run/answers.js";
import { classes, shownOf, shownRun } from "../run/state.js";
import { follow } from "./follow.js";
import { answerOf, likeliest, makeAnswers, showAnswers } from "./probabilities.js";
import { loadSprite, makeTile } from "./sprite.js";
import { openTab } from "./tabs.js";
import { openPicture } from "./tryit.js";

const ROWS = 4; // classes on a card

const byId = (id) => document.getElementById(id);
const panel = byId("panel-mistakes");
const pager = byId("mistakes-pager");
let cell = null; // of a confusion matrix, whose images are shown
let page = 0;
let reload = null;

const chosen = (name) => document.querySelector(`[name="${name}"]:checked`).value;

function card(image, tile, split) {
  const name = `${split} image ${format.count(image.image)}`;
  const truth = classes()[image.label];
  const picture = make("button", { type: "button", class: "picture", title: "Draw on it in Try it", "aria-label": `Try ${name}, ${truth}` }, tile);
  picture.addEventListener("click", () => openPicture({ split, ...image }));
  const table = makeAnswers(`${truth}, ${name}: what both models answer`);
  const shown = likeliest(image.label, image.model1, image.model2, ROWS);
  showAnswers(table, { classes: classes(), shown, truth: image.label, model1: image.model1, model2: image.model2 });
  return make("li", { "data-image": image.image, "data-label": image.label, "data-answer1": answerOf(image.model1), "data-answer2": answerOf(image.model2) },
    make("div", {}, picture, make("span", { class: "number", text: `no. ${format.count(image.image)}` })), table);
}

/** Put cards in the place of others; who stood on one stands on the one in its place. */
function replace(gallery, cards) {
  const focused = [...gallery.children].findIndex((each) => each.contains(document.activeElement));
  gallery.replaceChildren(...cards);
  cards[Math.min(focused, cards.length - 1)]?.querySelector("button").focus({ preventScroll: true });
}

function fillClasses(select) {
  if (select.options.length > 1) return;
  select.append(...classes().map((name, index) => make("option", { value: index, text: name })));
}

function question() {
  const sort = chosen("mistakes-sort");
  if (cell) return { show: "all", label: cell.label, predicted1: cell.predicted1, predicted2: cell.predicted2, sort, page };
  return { show: chosen("mistakes-show"), label: byId("mistakes-label").value || null, sort, page };
}

function showCell(found) {
  for (const control of panel.querySelectorAll(".not-cell")) control.hidden = cell !== null;
  byId("mistakes-cell").hidden = cell === null;
  if (cell) write(byId("mistakes-cell").firstElementChild, `${cell.title}, ${format.count(found)} image${found === 1 ? "" : "s"}`);
}

function show(answer, paint) {
  const tiles = answer.images.map((image, index) => {
    const tile = makeTile();
    paint(tile, index);
    return card(image, tile, answer.split);
  });
  replace(byId("gallery"), tiles);
  panel.querySelector(".choices").hidden = answer.split === null;
  for (const count of panel.querySelectorAll("[name='mistakes-show'] + span [data-count]")) write(count, answer.counts ? format.count(answer.counts[count.dataset.count]) : "");
  write(byId("mistakes-about"), answer.split === null ? nothing("The images that the models take for something else", anyActive(shownRun()))
    : `${format.count(answer.found)} of ${whichImages(answer, sum(Object.values(answer.counts)))}`);
  showCell(answer.found);
  pager.hidden = answer.pages < 2;
  const [previous, where, next] = pager.children;
  write(where, `Page ${answer.page + 1} of ${answer.pages}`);
  previous.disabled = answer.page === 0;
  next.disabled = answer.page + 1 >= answer.pages;
}

async function load() {
  fillClasses(byId("mistakes-label"));
  const asked = question();
  const answer = await api.fetchMistakes({ ...shownOf(), ...asked });
  const paint = answer.images.length ? await loadSprite(answer.split, answer.images.map(({ image }) => image)) : null;
  if (page !== asked.page) return answer; // another page was asked for meanwhile, and follows
  page = answer.page; // the last one, where there are fewer images than before
  show(answer, paint);
  return answer;
}

function ask(toPage = 0) {
  page = toPage;
  reload();
}

/** Show the images of a cell of a confusion matrix: {label, predicted1 or predicted2, title}. */
export function openCell(wanted) {
  cell = wanted;
  ask();
  openTab("mistakes");
}

/** Show the images that a count of McNemar's test counts: "only1", "only2" or "both_wrong". */
export function openCount(name) {
  const isOther = cell !== null || chosen("mistakes-show") !== name;
  cell = null;
  panel.querySelector(`[name="mistakes-show"][value="${name}"]`).checked = true;
  if (isOther) ask();
  openTab("mistakes");
}

export function connectMistakes() {
  reload = follow(panel, { load, onProblem: (text) => write(byId("mistakes-about"), text) });
  for (const control of panel.querySelectorAll(".choices :is(input, select)")) control.addEventListener("change", () => ask());
  for (const button of pager.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      ask(page + Number(button.dataset.turn));
      panel.scrollIntoView({ block: "start" });
    });
  }
  byId("mistakes-cell").querySelector("button").addEventListener("click", () => {
    cell = null;
    ask();
    panel.focus({ preventScroll: true }); // the button goes
  });
}
