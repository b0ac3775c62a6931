/** What leaves the page: the figure as a picture, and from the server all that was measured, as CSV and JSON. */

import { exportAddress } from "../base/api.js";

/** Have the browser save what is at an address; the server names its own files. */
function save(address, name = "") {
  const link = document.createElement("a");
  link.download = name;
  link.href = address;
  link.click();
}

/** Bind the buttons that carry data-export; `of()` names what is in sight, `file()` its files, `picture()` promises a PNG's address. */
export function connectExport({ of, file, picture }) {
  const kinds = {
    png: async () => save(await picture(), `${file()}.png`),
    csv: () => save(exportAddress(of(), "csv")),
    json: () => save(exportAddress(of(), "json")),
  };
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => {
      kinds[button.dataset.export]();
      button.closest("details").open = false;
    });
  }
}
