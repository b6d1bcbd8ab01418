import { ask, base, say, send } from "./page.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-promote]");
  if (!button || !(await ask(button.dataset.question))) return;
  button.disabled = true;
  const { isOk, content } = await send(`${base}/promotions`, JSON.parse(button.dataset.promote));
  if (isOk) location.reload();
  else { button.disabled = false; say(content.detail, true); }
});
