/** The chart library, which comes while the page is already in use; until it is there a line in the figure's place says so. */

const SOURCE = document.getElementById("chart-library").href; // the page has it fetched behind all that the forms need
const line = document.getElementById("library");
const again = line.querySelector("button");

// Plotly writes two inline style sheets, which our Content-Security-Policy forbids, unless it finds elements
// of these ids: the page links plotly.css in place of the first; the second serves maps, of which we draw none.
const STYLE_OF_MAPS = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";
const standIn = document.createElement("meta");
standIn.id = STYLE_OF_MAPS;
document.head.append(standIn);

let isThere = false;
export const hasCome = () => isThere;

/** Plotly, once it has come; where it does not load, the line says that, and has it tried again. */
export const plotly = new Promise((resolve) => {
  function load() {
    const script = document.createElement("script");
    script.src = SOURCE;
    script.onload = () => {
      isThere = line.hidden = true;
      setTimeout(resolve, 0, window.Plotly); // what is drawn first has a task of its own
    };
    script.onerror = () => {
      script.remove();
      line.querySelector("span").textContent = "The chart library did not load: there are no curves before it does. Everything else works.";
      again.hidden = false;
    };
    document.head.append(script);
  }
  again.addEventListener("click", load);
  load();
});
