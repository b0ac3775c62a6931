/** A question before what cannot be undone. */

/** Ask in a dialog; resolves to true where the answer was yes. Escape means no. */
export function confirm(question, yes) {
  const dialog = document.getElementById("confirm");
  const [no, go] = dialog.querySelectorAll("button");
  dialog.querySelector("p").textContent = question;
  go.textContent = yes;
  return new Promise((resolve) => {
    let answer = false;
    no.onclick = () => dialog.close();
    go.onclick = () => {
      answer = true;
      dialog.close();
    };
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
    no.focus();
  });
}
