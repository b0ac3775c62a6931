/** Puts the page together: each part listens to what the page knows, in the order in which it is named here. */

import { connectThemeSwitch } from "./base/theme.js";
import { connectComparison } from "./run/comparison.js";
import { connectControls } from "./run/controls.js";
import { connectFigure } from "./run/figure.js";
import { connectFork } from "./run/fork.js";
import { connectForms, useShown } from "./run/forms.js";
import { connectGuess } from "./run/guess.js";
import { connectKeys } from "./run/keys.js";
import { connectLive } from "./run/live.js";
import { connectLooks } from "./run/looks.js";
import { connectNotes } from "./run/notes.js";
import { connectNotify } from "./run/notify.js";
import { connectPast } from "./run/past.js";
import { startPolling } from "./run/polling.js";
import { connectQueue } from "./run/queue.js";
import { connectSignificance } from "./run/significance.js";
import { connectStatus } from "./run/status.js";
import { connectSteering } from "./run/steer.js";
import { connectTitle } from "./run/title.js";
import { connectVerdict } from "./run/verdict.js";
import { connectView } from "./run/view.js";
import { connectClasses } from "./tabs/classes.js";
import { connectTable } from "./tabs/comparison.js";
import { connectHistory } from "./tabs/history.js";
import { connectInside } from "./tabs/inside.js";
import { connectMistakes, openCount } from "./tabs/mistakes.js";
import { connectRepeats, openRepeats } from "./tabs/repeats.js";
import { connectTabs } from "./tabs/tabs.js";
import { connectTryit } from "./tabs/tryit.js";

function repeatShown(pairs) {
  useShown();
  openRepeats(pairs);
}

connectTabs();
connectView();
connectStatus();
connectPast();
connectForms();
connectLive();
connectLooks();
connectControls();
connectQueue();
connectSteering();
connectFork();
connectGuess();
connectTitle();
connectInside();
connectMistakes();
connectClasses();
connectTryit();
connectRepeats();
connectHistory();
connectFigure();
connectVerdict({ onRepeat: repeatShown });
connectSignificance({ onImages: openCount });
connectTable();
connectNotes();
connectComparison();
connectKeys();
connectNotify();
connectThemeSwitch(document.getElementsByName("theme"));
startPolling();
