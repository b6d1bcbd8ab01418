import { correct, forget, itemOf } from "./review.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-mark]");
  if (!button) return;
  const row = button.closest("tr");
  const undo = "undo" in button.dataset;
  if (await correct([row], button.dataset.mark, null, () => {}, { undo }) === "done") {
    if (undo) forget(button.dataset.mark, itemOf(row));
    row.classList.toggle("done", !undo);
    button.toggleAttribute("data-undo", !undo);
    button.textContent = undo ? "mark as taken care of" : "undo: taken care of";
  }
});
