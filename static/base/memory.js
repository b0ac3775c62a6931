/** What the browser remembers for the page: choices for good, dismissals for the visit. */

function guarded(act, otherwise) {
  try {
    return act();
  } catch {
    return otherwise; // storage is refused in some private windows, or holds something that is not JSON
  }
}

/** Return what was remembered under `key`, or `otherwise`. */
export const recall = (key, otherwise = null, storage = "localStorage") =>
  guarded(() => JSON.parse(window[storage].getItem(key)) ?? otherwise, otherwise);

/** Remember a value that JSON can hold; where nothing can be stored it lasts as long as the page. */
export const remember = (key, value, storage = "localStorage") =>
  guarded(() => window[storage].setItem(key, JSON.stringify(value)));
