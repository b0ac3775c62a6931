/** Numbers as a person reads them. Pure; what is not known is an en dash. */

const UNKNOWN = "–";
const known = (write) => (value) => (value === null || value === undefined ? UNKNOWN : write(value));

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const count = known((value) => whole.format(value));
export const percent = known((value) => `${(value * 100).toFixed(1)} %`);
export const loss = known((value) => (value >= 100 ? value.toPrecision(3) : value.toFixed(3)));
export const rate = known((value) => (value < 10 ? value.toFixed(1) : count(value)));
export const epoch = known((value) => value.toFixed(2));

/** A number with its sign, the minus a true one: 0.5 → "+0.50" with two digits. */
export const signed = (number, digits) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(digits)}`;

/** 7.4 → "7.4 s", 38 → "38 s", 125 → "2 min 05 s", 3780 → "1 h 03 min". */
export const duration = known((seconds) => {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const total = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (total < 60) return `${total} s`;
  if (total < 3600) return `${Math.floor(total / 60)} min ${two(total % 60)} s`;
  return `${Math.floor(total / 3600)} h ${two(Math.floor((total % 3600) / 60))} min`;
});

/** What is still to be waited for, in whole seconds: 5.2 → "6 s", 0 → "1 s". */
export const wait = known((seconds) => (seconds > 9 ? duration(Math.ceil(seconds)) : `${Math.max(1, Math.ceil(seconds))} s`));

/** 7.4 → "7.4 s", 125 → "2:05", 3780 → "1:03 h": for narrow columns. */
export const clock = known((seconds) => {
  const two = (number) => String(number).padStart(2, "0");
  const total = Math.round(seconds);
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (total < 60) return `${total} s`;
  if (total < 3600) return `${Math.floor(total / 60)}:${two(total % 60)}`;
  return `${Math.floor(total / 3600)}:${two(Math.floor((total % 3600) / 60))} h`;
});

/** 20123456 → "20.1 M", 840 → "840". */
export const short = known((value) => {
  for (const [size, unit] of [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  }
  return String(value);
});

const inFour = (number) => String(Number(number.toPrecision(4)));

/** A setting's value in a sentence: lists joined, truth as on and off, a fraction in four digits. */
export function setting(value) {
  if (Array.isArray(value)) return value.join(" ");
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "number" && !Number.isInteger(value) ? inFour(value) : String(value);
}

/** A sentence with its long fractions in four digits: "rate 0.000657482 at epoch 5.10" → "rate 0.0006575 at epoch 5.10". */
export const fewDigits = (text) => text.replace(/\d+\.\d{4,}(e[+-]?\d+)?/g, (number) => inFour(Number(number)));

/** A place on one of the axes that two models are compared along. */
export const position = (axis, value) =>
  ({ epochs: epoch, seconds: clock, images: short, flops: short })[axis](value);

const FROM_THE_RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;
const [ISOLATE, END] = ["\u2068", "\u2069"];

/** A name as it stands within a sentence: one that is read from the right is kept apart, so that it turns nothing around it. */
export const isolated = (name) => (FROM_THE_RIGHT.test(name) ? `${ISOLATE}${name}${END}` : name);
/** The same name without what keeps it apart. */
export const plain = (name) => name.replaceAll(ISOLATE, "").replaceAll(END, "");

/** A day, a time of day, a moment, by the reader's clock. */
export const day = known((iso) => new Date(iso).toLocaleDateString([], { dateStyle: "medium" }));
export const time = known((iso) => new Date(iso).toLocaleTimeString([], { timeStyle: "short" }));
export const moment = known((iso) => new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
