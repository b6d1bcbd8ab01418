import { say, send, base } from "./page.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-draw]");
  if (!button) return;
  button.disabled = true;
  const { isOk, content } = await send(`${base}/samples`, JSON.parse(button.dataset.draw));
  if (isOk) location.href = content.address;
  else { button.disabled = false; say(content.detail, true); }
});
