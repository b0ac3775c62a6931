/** Numbers as a person reads them. Pure; what is not known is an en dash. */

const UNKNOWN = "–";
const known = (write) => (value) => (value === null || value === undefined ? UNKNOWN : write(value));

export const count = known((value) => Math.round(value).toLocaleString("en"));
export const percent = known((value) => `${(value * 100).toFixed(1)} %`);
export const loss = known((value) => (value >= 100 ? value.toPrecision(3) : value.toFixed(3)));
export const rate = known((value) => (value < 10 ? value.toFixed(1) : count(value)));
export const epoch = known((value) => value.toFixed(2));

/** 7.4 → "7.4 s", 38 → "38 s", 125 → "2 min 05 s", 3780 → "1 h 03 min". */
export const duration = known((seconds) => {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
});

/** 20123456 → "20.1 M", 840 → "840". */
export const short = known((value) => {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  }
  return String(value);
});

/** A setting's value in a sentence: lists joined, truth as on and off. */
export function setting(value) {
  if (Array.isArray(value)) return value.join(" ");
  if (typeof value === "boolean") return value ? "on" : "off";
  return String(value);
}
