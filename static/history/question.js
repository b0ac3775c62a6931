/** What is asked of the history: which trainings, in which order, from where on. Kept for the visit. */

import { channel } from "../base/channel.js";
import { recall, remember } from "../base/memory.js";

const KEY = "history question";
const COLUMNS_KEY = "history columns";
export const PAGE = 50;
const ALL = { search: "", state: "", after: "", before: "", config: {}, sort: "started", order: "desc", isGrouped: false, offset: 0 };
const ASCENDING = ["name", "state", "device", "note", "val_loss", "loss", "seconds"]; // what is sought there comes first

let question = { ...ALL, ...recall(KEY, {}, "sessionStorage") };
let columnChoice = recall(COLUMNS_KEY, {});
const changed = channel();

/** Hears that something else is asked. */
export const onQuestion = changed.on;
export const asked = () => question;

/** Ask something else; from the first page on, unless that says from where. */
export function ask(change) {
  question = { ...question, offset: 0, ...change };
  remember(KEY, question, "sessionStorage");
  return changed.tell();
}

export const isFiltered = () => ["search", "state", "after", "before"].some((name) => question[name]) || Object.keys(question.config).length > 0;
export const askForAll = () => ask({ ...ALL, sort: question.sort, order: question.order, isGrouped: question.isGrouped });

/** Sort by a column; by the one that it is sorted by, the other way round. */
export function sortBy(key) {
  const first = ASCENDING.includes(key) || key.startsWith("config.") ? "asc" : "desc";
  const order = key === question.sort ? (question.order === "asc" ? "desc" : "asc") : first;
  return ask({ sort: key, order });
}

/** Return the query of a question without the page, as [name, value] each. Pure. */
export function filterPairs({ search, state, after, before, config, sort, order, isGrouped }) {
  const plain = Object.entries({ search, state, after, before, sort, order, group: isGrouped ? "seed" : "" }).filter(([, value]) => value !== "");
  return [...plain, ...Object.entries(config).map(([key, value]) => [`config.${key}`, value])];
}

/** Return the query of a question as [name, value] each. Pure. */
export const pairsOf = (asked) => [...filterPairs(asked), ["limit", PAGE], ["offset", asked.offset]];

export const chosenColumns = () => columnChoice;
/** Show a column or not, from now on. */
export function showColumn(key, isShown) {
  columnChoice = { ...columnChoice, [key]: isShown };
  remember(COLUMNS_KEY, columnChoice);
  return changed.tell();
}
