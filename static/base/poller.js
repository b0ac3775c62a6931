/** Ask again and again, never twice at once, gently when the server is gone, seldom or not at all while unseen. */

const FIRST_RETRY_MS = 2000;
const LONGEST_RETRY_MS = 30000;

let turnNow = () => {};
/** Ask at once, and not only when its time has come: something was done that the answer will tell. */
export const askNow = () => turnNow();

/** Milliseconds before try number `failures` + 1: doubling from 2 to 30 s, spread by ±25 % so that pages do not return in step. */
export function retryDelay(failures, random = Math.random()) {
  const delay = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS);
  return delay * (0.75 + random / 2);
}

/**
 * Call `ask` now and then again `interval()` ms after each answer, for ever.
 *
 * While the page is hidden it is `hiddenInterval()` ms, or not before the page is seen again where that is null.
 * `onFailure` receives the error and the milliseconds until the next try.
 */
export function poll(ask, { interval, hiddenInterval, onFailure }) {
  let timer = null;
  let asking = false;
  let again = false;
  let failures = 0;

  /** Ask after a delay; while hidden not before its own interval has passed. */
  function wait(delay) {
    clearTimeout(timer);
    const least = document.hidden ? hiddenInterval() : 0;
    if (least !== null) timer = setTimeout(turn, Math.max(delay, least));
  }

  async function turn() {
    clearTimeout(timer);
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    let delay;
    try {
      await ask();
      failures = 0;
      delay = interval();
    } catch (error) {
      failures += 1;
      delay = retryDelay(failures);
      onFailure(error, delay);
    }
    asking = false;
    if (again) delay = 0;
    again = false;
    wait(delay);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? wait(0) : turn()));
  window.addEventListener("online", () => wait(0));
  turnNow = turn;
  turn();
}
