/** Whether a part of the page is in sight: nothing is asked of the server for what nobody sees. */

/** Call `onSight` whenever `element` comes into sight; returns a function that says whether it is. */
export function watchSight(element, onSight) {
  let seen = false;
  const observer = new IntersectionObserver((entries) => {
    const before = seen;
    seen = entries.at(-1).isIntersecting;
    if (seen && !before) onSight();
  });
  observer.observe(element);
  return () => seen && !document.hidden;
}
