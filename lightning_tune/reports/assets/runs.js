"use strict";
// The dashboard: a tick shows or hides a run's lines, pointing at its row brings them forward.
(() => {
  const shapes = (run) => document.querySelectorAll(`.chart [data-run="${run}"]`);
  const show = (box) => {
    for (const shape of shapes(box.value)) shape.classList.toggle("off", !box.checked);
  };
  const boxes = Array.from(document.querySelectorAll("input[name=run]"));
  for (const box of boxes) {
    box.addEventListener("change", () => show(box));
    show(box);
    const row = box.closest("tr");
    const bring = (forward) => () => {
      document.body.classList.toggle("pointing", forward && box.checked);
      for (const shape of shapes(box.value)) shape.classList.toggle("front", forward);
    };
    row.addEventListener("pointerenter", bring(true));
    row.addEventListener("pointerleave", bring(false));
  }
  const all = document.querySelector("input[name=all-runs]");
  if (all) {
    all.addEventListener("change", () => {
      for (const box of boxes) {
        box.checked = all.checked;
        show(box);
      }
    });
  }
})();
