/** Tabs: one panel in sight, moved between by click, arrow keys, Home and End; the choice is remembered. */

import { recall, remember } from "../base/memory.js";

const KEY = "tab";

/** Return the tab to show: the one wanted, or the first where that one has nothing to show yet. */
function available(tabs, wanted) {
  const shown = tabs.filter((tab) => getComputedStyle(tab).display !== "none");
  return shown.includes(wanted) ? wanted : (shown[0] ?? tabs[0]);
}

function choose(tabs, chosen) {
  for (const tab of tabs) {
    const isChosen = tab === chosen;
    tab.ariaSelected = String(isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !isChosen;
  }
}

/** Bring up a panel that begins low on the screen: a click on its tab would seem to do nothing. */
function reveal(panel) {
  if (panel.getBoundingClientRect().top > 0.6 * window.innerHeight) panel.parentElement.scrollIntoView({ block: "start" });
}

const target = (tabs, index, key) =>
  ({ ArrowRight: (index + 1) % tabs.length, ArrowLeft: (index - 1 + tabs.length) % tabs.length, Home: 0, End: tabs.length - 1 })[key];

export function connectTabs() {
  const tabs = [...document.querySelectorAll("[role='tab']")];
  let wanted = tabs.find((tab) => tab.id === recall(KEY)) ?? tabs[0];
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => {
      wanted = tab;
      choose(tabs, tab);
      remember(KEY, tab.id);
      reveal(document.getElementById(tab.getAttribute("aria-controls")));
    });
    tab.addEventListener("keydown", (event) => {
      const next = tabs[target(tabs, index, event.key)];
      if (!next) return;
      event.preventDefault();
      next.focus();
      next.click();
    });
  }
  const show = () => choose(tabs, available(tabs, wanted));
  new MutationObserver(show).observe(document.body, { attributeFilter: ["class"] }); // a first run gives a tab something to show
  show();
}
