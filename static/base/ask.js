/** One value, asked for in a dialog that holds one input. */

/** Open the dialog with this id and value; resolves to what was entered, or null where it was closed otherwise. */
export function ask(id, value) {
  const dialog = document.getElementById(id);
  const input = dialog.querySelector("input");
  input.value = value;
  dialog.returnValue = "";
  dialog.querySelector("[data-no]").onclick = () => dialog.close();
  return new Promise((resolve) => {
    let entered = null;
    dialog.querySelector("form").onsubmit = () => (entered = input.value);
    dialog.onclose = () => resolve(entered);
    dialog.showModal();
    input.select();
  });
}
