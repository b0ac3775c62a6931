/** The tabs that look at images: mistakes, classes and try it, and the ways from one to another. */

import { connectClasses } from "./classes.js";
import { connectMistakes } from "./mistakes.js";
import { connectTryit } from "./tryit.js";

/**
 * Bind the three tabs. `history()` is the run on the page, `past()` its id where it is a past one,
 * `classes()` the names of the ten classes. Returns `refresh()`, which asks only for what is new and in sight.
 */
export function connectInsight(page) {
  const tryit = connectTryit(page);
  const mistakes = connectMistakes({ ...page, onPicture: tryit.open });
  const refreshClasses = connectClasses({ ...page, onCell: mistakes.open });
  return () => {
    for (const refresh of [mistakes.refresh, refreshClasses, tryit.refresh]) refresh();
  };
}
