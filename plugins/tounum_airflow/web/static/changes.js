import { ask, base, say, send } from "./page.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-restore]");
  if (!button) return;
  const body = JSON.parse(button.dataset.restore);
  button.disabled = true;
  const preview = await send(`${base}/restores`, { ...body, dry: true });
  button.disabled = false;
  if (!preview.isOk) { say(preview.content.detail, true); return; }
  if (!(await ask(preview.content.detail))) return;
  button.disabled = true;
  say("Restoring …");
  const { isOk, content } = await send(`${base}/restores`, { ...body, dry: false });
  if (isOk) location.search = `?date=${body.date}&batch=${body.batch}`;
  else { button.disabled = false; say(content.detail, true); }
});
