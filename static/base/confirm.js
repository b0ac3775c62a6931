/** A question before what cannot be undone, or is hardly meant. */

/** Ask in a dialog; resolves to true where the answer was `yes`. Escape means `no`. */
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
