// One image: slider between before and after, its own size, where words looked, more like it, and the keys.
import { isEditor, isTyping, say } from "./page.js";
import { comeFrom } from "./place.js";
import { askCaption, correct, go, inTurn, isBusy, leaving, meaning, meant, undoLast } from "./review.js";

const item = document.getElementById("item");
comeFrom(item, document.getElementById("back"));
const viewer = document.getElementById("viewer");
const after = viewer?.querySelector("img.after");
// The thumbnail is there at once, larger views may take a moment.
const canvas = viewer?.querySelector(".canvas");
if (canvas?.dataset.thumbnail) canvas.style.backgroundImage = `url("${canvas.dataset.thumbnail}")`;
const slider = document.getElementById("slider");

function slide() {
  if (after) after.style.clipPath = `inset(0 0 0 ${100 - Number(slider.value)}%)`;
}
slider?.addEventListener("input", slide);
if (slider) slide();
const zoom = () => viewer?.classList.toggle("full");
document.getElementById("zoom")?.addEventListener("click", zoom);
viewer?.addEventListener("dblclick", zoom);

document.getElementById("outlines")?.addEventListener("change", (event) => viewer.querySelector(".outlines").toggleAttribute("hidden", !event.target.checked));

// Where a word looked: an 8 x 8 map from the strip, stretched over the picture, dark where nobody looked.
const overlay = viewer?.querySelector(".overlay");
const words = [...document.querySelectorAll(".word")];
let strip = null;
async function look(button) {
  const isOn = button && button.getAttribute("aria-pressed") !== "true";
  words.forEach((word) => word.setAttribute("aria-pressed", String(isOn && word === button)));
  overlay.hidden = true;
  if (!isOn) return;
  if (!strip) {
    strip = new Image();
    strip.src = overlay.dataset.src;
    try { await strip.decode(); } catch { strip = null; say("The attention of this caption is not there any more.", true); return; }
  }
  overlay.width = 64; overlay.height = 64;
  const pen = overlay.getContext("2d");
  pen.imageSmoothingEnabled = true;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(strip, 8 * Number(button.dataset.word), 0, 8, 8, 0, 0, 64, 64);
  overlay.hidden = false;
}
words.forEach((word, number) => {
  word.setAttribute("aria-pressed", "false");
  word.addEventListener("click", () => look(word));
  word.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.stopPropagation();
    event.preventDefault();
    const next = words[number + step];
    if (next) { next.focus(); look(next); }
  });
});

const more = document.getElementById("more");
async function likeThis() {
  const place = document.getElementById("like");
  more.disabled = true;
  more.textContent = "Looking …";
  const answer = await fetch(place.dataset.src, { credentials: "same-origin", headers: { Accept: "text/plain" } }).catch(() => null);
  const text = answer ? await answer.text() : "";
  if (answer?.ok) place.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
  else { more.disabled = false; more.textContent = "More like this"; say(answer?.headers.get("content-type")?.includes("json") ? JSON.parse(text).detail : "Airflow does not answer as it should: try again.", true); }
}
more?.addEventListener("click", likeThis);

const follow = (link, isRepeat) => { if (!isRepeat || !isBusy()) inTurn(() => go(document.querySelector(link))); };
const again = () => { leaving(); location.reload(); };
const act = (mark, value) => inTurn(() => actNow(mark, value), mark === "caption" && value === undefined);
const undo = () => inTurn(() => undoLast([item], () => {}).then((back) => back.length && again()));
async function actNow(...asked) {
  const [mark, value] = meant(...asked) ?? [];
  if (!mark) return;
  const given = mark === "caption" && value === undefined ? await askCaption(item) : value;
  if (mark === "caption" && !given) return;
  if (await correct([item], mark, given, () => {}) !== "done") return;
  const unseen = document.getElementById("unseen");
  if (unseen) go(unseen); else again();
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.target === slider && event.key.startsWith("Arrow")) return;
  if (["ArrowRight", "j"].includes(event.key)) follow('a[rel="next"]', event.repeat);
  else if (["ArrowLeft", "k"].includes(event.key)) follow('a[rel="prev"]', event.repeat);
  else if (event.key === "z") zoom();
  else if (event.key === "b" && slider) { slider.value = Number(slider.value) > 50 ? 0 : 100; slide(); }
  else if (event.key === "o" && words.length) look(words.find((word) => word.getAttribute("aria-pressed") === "true") ?? words[0]);
  else if (event.key === "l" && more && !more.disabled) likeThis();
  else if (event.key === "Escape") follow("#back", event.repeat);
  else if (!isEditor || event.repeat) return;
  else if (event.key === "u") undo();
  else if (event.key === "c") { event.preventDefault(); act("caption"); }
  else { const said = meaning(event.key); if (said) { event.preventDefault(); act(...said); } }
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-mark], button[data-undo], .actions button[data-ask]");
  if (!button) return;
  if (button.dataset.mark) act(button.dataset.mark, button.dataset.value ?? null);
  else if ("undo" in button.dataset) undo();
  else if (button.dataset.ask === "caption") act("caption");
});
