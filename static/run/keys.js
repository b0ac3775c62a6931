/** Keys for the whole page: Space pauses and resumes, Escape closes what is open. */

const TAKES_KEYS = "input, select, textarea, button, a, summary, dialog, [role='tab'], [contenteditable]";

function toggle(event) {
  const button = document.getElementById("pause");
  if (event.repeat || event.target.closest?.(TAKES_KEYS) || button.disabled) return;
  event.preventDefault(); // it would scroll the page
  button.click();
}

function closeMenus() {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
}

export function connectKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " ") toggle(event);
    if (event.key === "Escape") closeMenus();
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
}
