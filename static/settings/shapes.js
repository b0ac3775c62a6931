/** The layers of a model as typed: their output shapes, parameters and work. */

import { make } from "../base/dom.js";
import * as format from "../base/format.js";

/** 3 numbers as channels × height × width. */
const shape = (sizes) => sizes.join("×");

/** Return the shapes that an image passes through, in one line. Pure. */
const chain = (layers) => ["1×28×28", ...layers.map((layer) => shape(layer.output_shape))].join(" → ");

function row({ name, output_shape: output, parameters, flops }) {
  return make("tr", {}, make("th", { scope: "row", text: name }),
    ...[shape(output), format.count(parameters), `${format.short(flops)}FLOP`].map((text) => make("td", { text })));
}

/** Show the layers of a model's description. */
export function showShapes(model, { layers }) {
  const details = document.querySelector(`#${model} .shapes`);
  const line = details.querySelector(".chain");
  line.textContent = line.title = chain(layers);
  details.querySelector("tbody").replaceChildren(...layers.map(row));
}
