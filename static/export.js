/** What leaves the page: the figure as a picture, what it is drawn from as CSV and JSON. */

const COLUMNS = ["step", "epoch", "seconds", "loss", "accuracy", "train_accuracy"];

/** Return the history as CSV: a line for each point and each evaluation. Pure. */
export function toCsv(history) {
  const lines = [["model", "kind", ...COLUMNS].join(",")];
  for (const [model, { points, evaluations }] of Object.entries(history.models)) {
    for (const [kind, series] of [["training", points], ["validation", evaluations]]) {
      (series.epoch ?? []).forEach((_, index) => {
        lines.push([model, kind, ...COLUMNS.map((name) => series[name]?.[index] ?? "")].join(","));
      });
    }
  }
  return `${lines.join("\r\n")}\r\n`;
}

/** Return the history as JSON. Pure. */
export const toJson = ({ run, models }) => JSON.stringify({ run, models }, null, 1);

function save(name, address) {
  const link = document.createElement("a");
  link.download = name;
  link.href = address;
  link.click();
}

function saveText(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  save(name, address);
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Bind the buttons that carry data-export; `history()` is what the page knows, `picture()` promises a PNG's address. */
export function connectExport(history, picture) {
  const name = (ending) => `fashionmnist-${history().run}.${ending}`;
  const kinds = {
    png: async () => save(name("png"), await picture()),
    csv: () => saveText(name("csv"), toCsv(history()), "text/csv"),
    json: () => saveText(name("json"), toJson(history()), "application/json"),
  };
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => {
      kinds[button.dataset.export]();
      button.closest("details").open = false;
    });
  }
}
