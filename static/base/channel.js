/** How one module tells others of a change without knowing them. */

/** Return {on, tell}: `tell(...news)` calls what was given to `on`, in that order, and resolves once all have done. */
export function channel() {
  const listeners = [];
  return {
    on: (listener) => void listeners.push(listener),
    tell: (...news) => Promise.all(listeners.map((listener) => listener(...news))),
  };
}
