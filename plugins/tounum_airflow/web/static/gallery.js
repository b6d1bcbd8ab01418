// The gallery's keys: arrows move; a correction acts and goes to the next tile that nobody has looked at.
import { isEditor, isTyping, say } from "./page.js";
import { leave, returned } from "./place.js";
import { askCaption, chips, correct, go, inTurn, isBusy, meaning, meant, swatch, undoLast } from "./review.js";

const sample = document.getElementById("tiles")?.dataset.sample ?? null;
const tiles = [...document.querySelectorAll(".tile")];
const current = () => tiles.findIndex((tile) => tile.hasAttribute("aria-current"));

function moveTo(number) {
  if (!tiles.length) return;
  const wanted = Math.max(0, Math.min(tiles.length - 1, number));
  tiles.forEach((tile) => tile.removeAttribute("aria-current"));
  tiles[wanted].setAttribute("aria-current", "true");
  tiles[wanted].querySelector("a").focus({ preventScroll: true });
  tiles[wanted].scrollIntoView({ block: "nearest" });
}

function columns() {
  const top = tiles[0].offsetTop;
  const first = tiles.findIndex((tile) => tile.offsetTop > top);
  return first < 0 ? tiles.length : first;
}

function show(tile, outcome) {
  tile.querySelector(".what").replaceChildren(...swatch(outcome.label));
  tile.querySelector(".said").textContent = outcome.caption ?? "";
  tile.querySelector(".marks").replaceChildren(...chips(outcome));
}

const picked = () => tiles.filter((tile) => tile.querySelector(".pick input")?.checked);
const targets = () => { const some = picked(); return some.length ? some : tiles[current()] ? [tiles[current()]] : []; };

function goOn(done) {
  const from = tiles.indexOf(done.at(-1));
  const next = tiles.findIndex((tile, number) => number > from && !("seen" in tile.dataset));
  if (next >= 0) moveTo(next);
  else say(`${document.getElementById("said").textContent} Everything on this page has been looked at${document.querySelector('a[rel="next"]') ? ": n goes to the next one" : ""}.`);
}

const act = (mark, value) => inTurn(() => actNow(mark, value), mark === "caption" && value === undefined);
const undo = () => inTurn(() => undoLast(tiles, show).then((back) => back.length && moveTo(tiles.indexOf(back[0]))));

async function actNow(...asked) {
  const [mark, value] = meant(...asked) ?? [];
  if (!mark) return;
  const some = targets();
  if (!some.length) { say("Move to an image first, with the arrow keys."); return; }
  const given = mark === "caption" && value === undefined ? await askCaption(some[0]) : value;
  if (mark === "caption" && !given) return;
  if (await correct(some, mark, given, show, { sample }) === "done") { pick(some, false); goOn(some); }
}

function pick(some, isPicked) {
  for (const tile of some) {
    const box = tile.querySelector(".pick input");
    if (box) { box.checked = isPicked; tile.classList.toggle("picked", isPicked); }
  }
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || !tiles.length) return;
  const moves = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1, ArrowDown: columns(), ArrowUp: -columns() };
  if (event.key in moves) { event.preventDefault(); if (!event.repeat || !isBusy()) inTurn(() => moveTo(current() < 0 ? 0 : current() + moves[event.key])); return; }
  if (event.repeat) return;  // a key that is held down is meant once
  if (event.key === "n" || event.key === "p") { inTurn(() => go(document.querySelector(`a[rel="${event.key === "n" ? "next" : "prev"}"]`))); return; }
  if (!isEditor) return;
  if (event.key === "x") inTurn(() => { const tile = tiles[current()]; if (tile) pick([tile], !tile.classList.contains("picked")); });
  else if (event.key === "a") inTurn(() => pick(tiles, picked().length < tiles.length));
  else if (event.key === "Escape") inTurn(() => pick(tiles, false));
  else if (event.key === "u") undo();
  else if (event.key === "c") { event.preventDefault(); act("caption"); }
  else { const said = meaning(event.key); if (said) { event.preventDefault(); act(...said); } }
});

document.addEventListener("change", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) tile.classList.toggle("picked", event.target.checked);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest(".actions button");
  if (button?.dataset.mark) act(button.dataset.mark, button.dataset.value);
  else if (button && "undo" in button.dataset) undo();
  else if (button?.dataset.ask === "caption") act("caption");
});
window.addEventListener("pagehide", () => leave(picked(), tiles[current()]));
// On a phone the filters would fill the first screen.
if (matchMedia("(max-width: 760px)").matches) document.querySelector(".fold")?.removeAttribute("open");
const place = returned(tiles);
if (place) {
  pick(place.picked, true);
  if (place.current) moveTo(tiles.indexOf(place.current));
}
document.addEventListener("focusin", (event) => {
  const tile = event.target.closest(".tile");
  if (tile && !tile.hasAttribute("aria-current")) { tiles.forEach((one) => one.removeAttribute("aria-current")); tile.setAttribute("aria-current", "true"); }
});
