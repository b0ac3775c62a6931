/** The columns of the history's table: what each is called, and what a training or a group says in it. Pure. */

import * as format from "../base/format.js";
import { wordOf } from "../run/answers.js";
import { changesOf, titleOfRun } from "../run/past.js";

const BRANCHES = { continued: "continues", forked: "forked from" };
const points = { write: (value) => format.signed(100 * value, 1), unit: " points" };
const losses = { write: (value) => format.signed(value, 3), unit: "" };
const DIFFERENCES = {
  best_val_accuracy: points,
  test_accuracy: points,
  val_loss: losses,
  loss: losses,
  seconds: { write: (value) => `${value < 0 ? "−" : "+"}${format.duration(Math.abs(value))}`, unit: "" },
};
const HOW = { "paired by seed": (n) => `paired by ${n} seeds`, welch: () => "Welch" };

/** Return a row of the table as the list of runs has its run, as far as its title needs that. */
function runOf({ run, name, changes }) {
  const config = (which) => Object.fromEntries(Object.entries(changes).map(([key, values]) => [key, values[which]]));
  return { id: run, name, differing: Object.keys(changes), models: { model1: { config: config(0) }, model2: { config: config(1) } } };
}

/** Return what the run of a training is called. */
export const titleOfTraining = (training, settingTitles) => titleOfRun(runOf(training), settingTitles);
/** Return what its models differ in where the run has a name of its own, else "". */
export const changesOfTraining = (training, settingTitles) => (training.name ? changesOf(runOf(training), settingTitles) : "");

/** Return from which run a training goes on, such as "continues Dropout"; "" where from none. */
export function originOf({ parent }, settingTitles) {
  if (!parent) return "";
  return `${BRANCHES[parent.kind]} ${parent.changes ? titleOfTraining(parent, settingTitles) : "a run that is no longer here"}`;
}

/** Return which pair of a series a training's run is, if it is one, and its seed. */
export const seedOf = ({ pair, config }) => `${pair ? `pair ${pair.number} of ${pair.of}, ` : ""}seed ${config.seed}`;

/** Return seeds as a person writes them: "1, 2, 3" or "1, 2, 3 … 12". */
const seedsOf = (seeds) => (seeds.length > 4 ? `${seeds.slice(0, 3).join(", ")} … ${seeds.at(-1)}` : seeds.join(", "));

const isGroup = ({ trainings }) => trainings !== undefined;
const stateOf = (row) => (isGroup(row)
  ? { text: Object.entries(row.states).map(([state, count]) => `${count} ${state}`).join(", ") }
  : { text: wordOf(row), small: `epoch ${format.epoch(row.epoch ?? 0)}` });

/** What a measure says: its value, or a group's mean, and the interval in small. */
const measured = (key, write, within) => (row) => {
  const value = row[key];
  if (!isGroup(row)) return { text: write(value) };
  if (!value || value.mean === null) return { text: write(null) };
  const [low, high] = value.interval ?? [];
  return { text: write(value.mean), small: value.interval ? `${within(low)} to ${within(high)} (95 %), ${value.n} seeds` : `${value.n} seed${value.n === 1 ? "" : "s"}` };
};

const percents = (value) => (100 * value).toFixed(1);
function tested(row) {
  if (isGroup(row)) return measured("test_accuracy", format.percent, percents)(row);
  const [low, high] = row.test_interval ?? [];
  return { text: format.percent(row.test_accuracy), small: row.test_interval ? `${percents(low)} to ${percents(high)}` : "" };
}

const plainly = (say) => (row) => ({ text: say(row) });
const single = (say) => (row) => ({ text: isGroup(row) ? "–" : say(row) });

/** All columns but those of the settings, in order; `isOutcome` says what a guess must not be told. */
const FIXED = [
  { key: "started", title: "Started", isUsual: true, say: ({ started }) => ({ text: format.day(started), small: format.time(started) }) },
  { key: "state", title: "State", isUsual: true, say: stateOf },
  { key: "best_val_accuracy", title: "Best validation", isUsual: true, isOutcome: true, say: measured("best_val_accuracy", format.percent, percents) },
  { key: "test_accuracy", title: "Test, 95 %", isUsual: true, isOutcome: true, say: tested },
  { key: "val_loss", title: "Validation loss", isUsual: true, isOutcome: true, say: measured("val_loss", format.loss, format.loss) },
  { key: "loss", title: "Training loss", isOutcome: true, say: measured("loss", format.loss, format.loss) },
  { key: "seconds", title: "Time", isUsual: true, say: measured("seconds", format.duration, format.duration) },
  { key: "images_per_second", title: "Images/s", say: measured("images_per_second", format.count, format.count) },
  { key: "parameters", title: "Parameters", say: plainly((row) => format.count(row.parameters)) },
  { key: "device", title: "Device", say: single((row) => row.device ?? "–") },
].map((column) => ({ ...column, isNumber: ["best_val_accuracy", "test_accuracy", "val_loss", "loss", "seconds", "images_per_second", "parameters"].includes(column.key) }));

const PARENT = { key: "parent", title: "Goes on from" };
const NOTE = { key: "note", title: "Note", isUsual: true, say: single((row) => row.note ?? "") };

const settingColumn = (key, settingTitles) => ({
  key: `config.${key}`,
  title: settingTitles[key] ?? key,
  isUsual: true,
  say: ({ config = {}, setting = {}, seeds }) => ({ text: key === "seed" && seeds ? seedsOf(seeds) : format.setting((setting[key] ?? config[key]) ?? "–") }),
});

const isResult = ({ key }) => !["parameters", "device"].includes(key);

/** Return all columns there are for trainings that differ in these settings: what they came to, the settings, all else. */
export function columnsFor(differing, settingTitles) {
  const parent = { ...PARENT, say: single((row) => originOf(row, settingTitles) || "–") };
  const settings = differing.map((key) => settingColumn(key, settingTitles));
  return [...FIXED.filter(isResult), ...settings, ...FIXED.filter((column) => !isResult(column)), parent, NOTE];
}

/** Return those of the columns that are shown; `choice` says of some, by key, whether they are. */
export const shownColumns = (columns, choice) => columns.filter(({ key, isUsual = false }) => choice[key] ?? isUsual);

/** Return how a row differs from the baseline in a column, "" where nothing is known. */
export function differenceIn({ difference }, key) {
  const known = difference?.[key];
  if (!known || known.value === null || !DIFFERENCES[key]) return "";
  const { write, unit } = DIFFERENCES[key];
  const [low, high] = known.interval ?? [];
  const range = known.interval ? ` (95 %: ${write(low)} to ${write(high)}, ${HOW[known.how](known.n)})` : "";
  return `${write(known.value)}${unit}${range}`;
}
