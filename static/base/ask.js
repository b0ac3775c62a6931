/** What is asked for in a dialog: a value, or whether something is really meant. */

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

/** Ask before what cannot be undone, or is hardly meant; resolves to true where the answer was `yes`. Escape means `no`. */
export function confirm(question, yes, no) {
  const dialog = document.getElementById("confirm");
  const [stay, go] = dialog.querySelectorAll("button");
  dialog.querySelector("p").textContent = question;
  stay.textContent = no;
  go.textContent = yes;
  return new Promise((resolve) => {
    let answer = false;
    stay.onclick = () => dialog.close();
    go.onclick = () => {
      answer = true;
      dialog.close();
    };
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
    stay.focus();
  });
}
