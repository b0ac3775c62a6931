/** Tabs: one panel in sight, moved between by click, arrow keys, Home and End; the choice is remembered. */

import { recall, remember } from "../base/memory.js";

const KEY = "tab";
const tabs = [...document.querySelectorAll("[role='tab']")];
const panelOf = (tab) => document.getElementById(tab.getAttribute("aria-controls"));
let wanted = tabs[0];

/** Return the tab to show: the one wanted, or the first where that one has nothing to show yet. */
function available() {
  const shown = tabs.filter((tab) => getComputedStyle(tab).display !== "none");
  return shown.includes(wanted) ? wanted : (shown[0] ?? tabs[0]);
}

function choose(chosen) {
  for (const tab of tabs) {
    const isChosen = tab === chosen;
    tab.ariaSelected = String(isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
    panelOf(tab).hidden = !isChosen;
  }
}

/** Bring up a panel that begins low on the screen: a click on its tab would seem to do nothing. */
function reveal(panel) {
  if (panel.getBoundingClientRect().top > 0.6 * window.innerHeight) panel.parentElement.scrollIntoView({ block: "start" });
}

function open(tab) {
  wanted = tab;
  choose(tab);
  remember(KEY, tab.id);
  reveal(panelOf(tab));
}

/** Bring up the panel of a tab, such as "mistakes", at the top of the screen; the focus goes there unless it is wanted elsewhere. */
export function openTab(name, focused = null) {
  const tab = document.getElementById(`tab-${name}`);
  open(tab);
  const panel = panelOf(tab);
  (focused ?? panel).focus({ preventScroll: true });
  panel.scrollIntoView({ block: "start" });
}

const target = (index, key) =>
  ({ ArrowRight: (index + 1) % tabs.length, ArrowLeft: (index - 1 + tabs.length) % tabs.length, Home: 0, End: tabs.length - 1 })[key];

export function connectTabs() {
  wanted = tabs.find((tab) => tab.id === recall(KEY)) ?? tabs[0];
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      const next = tabs[target(index, event.key)];
      if (!next) return;
      event.preventDefault();
      next.focus();
      next.click();
    });
  }
  const show = () => choose(available());
  new MutationObserver(show).observe(document.body, { attributeFilter: ["class"] }); // a first run gives a tab something to show
  show();
}
