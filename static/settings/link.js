/** Both configurations, or lessons, as the part of an address behind #, and back. Pure. */

const LESSONS = "#lessons=";

/** Whether the fragment holds lessons, and no settings. */
export const isLessonLink = (fragment) => fragment.startsWith(LESSONS);

/** Return the lessons file that a fragment holds, as JSON gives it. Throws SyntaxError where it is no JSON. */
export function lessonsOf(fragment) {
  try {
    return JSON.parse(decodeURIComponent(fragment.slice(LESSONS.length)));
  } catch {
    throw new SyntaxError("it holds no JSON"); // a stray % is a URIError
  }
}

/** Return the fragment for settings of both models: only what is not as in `defaults`; "" where all is. */
export function write(settings, defaults) {
  const parts = [];
  for (const [model, values] of Object.entries(settings)) {
    for (const [key, value] of Object.entries(values)) {
      if (JSON.stringify(value) === JSON.stringify(defaults[model][key])) continue;
      parts.push(`${model}.${key}=${encodeURIComponent(String(value)).replaceAll("%2C", ",")}`);
    }
  }
  return parts.length ? `#${parts.join("&")}` : "";
}

/**
 * Return {settings, strangers}: texts by model and key, and the parts that name no setting.
 *
 * `models` names the models and `keys` the settings that there are. Values stay texts: the form
 * takes them as if typed, and the server says which cannot be used.
 */
export function read(fragment, models, keys) {
  const settings = {};
  const strangers = [];
  for (const [name, text] of new URLSearchParams(fragment.replace(/^#/, "").replaceAll("+", "%2B"))) {
    const [model, key, more] = name.split(".");
    if (!models.includes(model) || !keys.includes(key) || more !== undefined) strangers.push(name);
    else (settings[model] ??= {})[key] = text;
  }
  return { settings, strangers };
}
