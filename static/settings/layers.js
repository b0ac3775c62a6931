/** Settings that are lists have one value a layer: all lists of a model grow and shrink together. */

const itemsOf = (field) => [...field.querySelectorAll(".items > *")];

/** Give a list field `count` inputs; new ones start as copies of the last. */
export function setItemCount(field, count) {
  const holder = field.querySelector(".items");
  for (const item of itemsOf(field).slice(Math.max(count, 1))) item.remove();
  while (holder.childElementCount < count) {
    const last = holder.lastElementChild;
    const item = last.cloneNode(true);
    const number = holder.childElementCount + 1;
    item.id = item.name = `${field.dataset.name}.${number}`;
    item.setAttribute("aria-label", `${field.dataset.title}, layer ${number}`);
    item.value = last.value;
    holder.append(item);
  }
  showLimits(field, holder.childElementCount);
}

function showLimits(field, count) {
  for (const button of field.querySelectorAll("[data-layers]")) {
    const target = count + Number(button.dataset.layers);
    button.disabled = target < Number(field.dataset.least) || target > Number(field.dataset.most);
  }
}

/** Bind the − and + buttons; each press counts as typing. */
export function connectLayerButtons() {
  for (const button of document.querySelectorAll("[data-layers]")) {
    button.addEventListener("click", () => {
      const fields = button.closest(".fields");
      const count = itemsOf(button.closest(".field")).length + Number(button.dataset.layers);
      for (const field of fields.querySelectorAll('.field[data-type="array"]')) setItemCount(field, count);
      button.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
}
