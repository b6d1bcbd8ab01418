// Corrections: what a key or a button says of one item or of many, and how it is taken back.
import { base, isEditor, say, send } from "./page.js";

const LAST = "tounum.last", UNDO = "tounum.undo", LOST = "tounum.lost";
const UNSAVED = "What was asked for while the page was being left was not saved.";
const stored = (key, otherwise) => { try { return JSON.parse(sessionStorage.getItem(key)) ?? otherwise; } catch { return otherwise; } };
const store = (key, value) => sessionStorage.setItem(key, JSON.stringify(value));
const OF_IMAGES = ["label", "caption", "good"];
export const CLASSES = ["Painting", "Photo", "Schematics", "Sketch", "Text"];

export const itemOf = (element) => JSON.parse(element.dataset.item);
const nameOf = (item) => `${item.date} ${item.batch} ${item.path} ${item.page}`;

// What keys and buttons ask for is done one by one: a key that comes before the answer to the last one goes to where that
// leads. What was asked ahead of a correction that did not get through is dropped: it was meant for what comes after it.
// Until a caption has been written nothing else is taken: its letters are no keys, also before the dialog is there.
let turn = Promise.resolve(), round = 0, waiting = 0, caption = null;
export const isBusy = () => waiting > 0;
export function inTurn(work, isCaption = false) {
  if (caption) return turn;
  const mine = { round };
  if (isCaption) caption = mine;
  waiting += 1;
  const done = turn.then(() => mine.round === round ? work() : undefined).finally(() => { waiting -= 1; if (caption === mine) caption = null; });
  turn = done.catch(() => {});
  return done;
}

// From the moment at which another page is asked for, nothing more is said of what this one still shows: what is lost by
// that is told here, and by the next page, as this one may be gone before anybody has read it.
const LEAVING_MS = 10000;  // unless it stays all the same: a file was downloaded, or the way was broken off
let left = -LEAVING_MS;
export const leaving = () => { left = performance.now(); };
window.addEventListener("beforeunload", leaving);
window.addEventListener("pageshow", () => {
  left = -LEAVING_MS;
  if (Date.now() - stored(LOST, 0) < LEAVING_MS) say(UNSAVED, true);
  sessionStorage.removeItem(LOST);
});
export const go = (link) => { if (link) { leaving(); link.click(); } };
const isLeaving = () => performance.now() - left < LEAVING_MS;

// Says something of some elements with data-item; `shown` is called with each of them and what became of it.
// Returns "done", "partly" (others were faster with some), "refused", or "later" (it may be tried again as it is).
export async function correct(elements, mark, value, shown, options = {}) {
  if (!isEditor || !elements.length) return "refused";
  if (isLeaving()) { store(LOST, Date.now()); say(UNSAVED, true); return "later"; }
  const result = await write(elements, mark, value, shown, options);
  if (result !== "done") round += 1;
  return result;
}

async function write(elements, mark, value, shown, { undo = false, sample = null, items = elements.map(itemOf) }) {
  const body = { mark, items, undo, ...(undo || value === undefined || value === null ? {} : { value }), ...(sample ? { sample } : {}) };
  const { isOk, status, content } = await send(`${base}/reviews`, body);
  if (!isOk && status !== 409) { say(content.detail, true); return status === 404 || status === 422 ? "refused" : "later"; }
  const lost = content.items.filter((outcome) => "conflict" in outcome);
  content.items.forEach((outcome, number) => {
    elements[number].dataset.item = JSON.stringify({ ...items[number], saw: outcome.saw });
    elements[number].dataset.label = outcome.label ?? "";
    elements[number].dataset.caption = outcome.caption ?? "";
    elements[number].toggleAttribute("data-seen", outcome.is_seen);
    shown(elements[number], outcome);
    if (OF_IMAGES.includes(mark)) showCopies(elements, outcome, shown);
  });
  const done = content.items.filter((outcome) => !("conflict" in outcome));
  if (!undo && done.length) {
    store(LAST, { mark, value });
    store(UNDO, [...stored(UNDO, []), { mark, sample, items: done.map((outcome) => ({ ...outcome.item, saw: outcome.saw })) }].slice(-50));
  }
  const isShown = undo || mark !== "caption" || done.every((outcome) => outcome.caption === value);
  const copies = done.reduce((sum, outcome) => sum + outcome.copies, 0);
  if (lost.length) say(lost.length === 1 ? lost[0].conflict : `${lost.length} of ${content.items.length} were changed by others meanwhile and were left: look at them again.`, true);
  else say(`${undo ? "Taken back" : said(mark, value)}${done.length > 1 ? `, ${done.length} images` : ""}${copies && (mark === "label" || mark === "caption") ? `, also ${copies} ${copies === 1 ? "copy" : "copies"}` : ""}. ${isShown ? "It takes effect at the next run" : "It is kept for when the class is Photo: other images have no caption"}.`);
  return lost.length ? "partly" : "done";
}

// What is said of an image holds for its copies on the page as well, which keep what was said of their own place.
function showCopies(elements, outcome, shown) {
  for (const copy of document.querySelectorAll(`[data-image="${outcome.image}"]`)) {
    if (elements.includes(copy)) continue;
    const item = itemOf(copy);
    const saw = Object.fromEntries([...Object.entries(item.saw).filter(([mark]) => !OF_IMAGES.includes(mark)), ...Object.entries(outcome.saw).filter(([mark]) => OF_IMAGES.includes(mark))]);
    copy.dataset.item = JSON.stringify({ ...item, saw });
    copy.dataset.label = outcome.label ?? "";
    copy.dataset.caption = outcome.caption ?? "";
    copy.toggleAttribute("data-seen", outcome.is_seen || Object.keys(saw).length > 0);
    shown(copy, { ...outcome, saw });
  }
}

const said = (mark, value) => ({ label: value, caption: "Caption saved", good: "Good as it is", scan_again: "To be scanned again", taken_care: "Taken care of" })[mark];

// Takes back the last correction made in this tab, on whichever page its items are.
export async function undoLast(elements, shown) {
  const made = stored(UNDO, []);
  const last = made.pop();
  if (!last) { say("There is nothing to take back."); return []; }
  const here = new Map(elements.map((element) => [nameOf(itemOf(element)), element]));
  const targets = last.items.map((item) => here.get(nameOf(item)) ?? document.createElement("i"));
  targets.forEach((element, number) => { if (!element.isConnected) element.dataset.item = JSON.stringify(last.items[number]); });
  // What was made here is named, not what the page shows: what others changed meanwhile is not ours to take back.
  const takeBack = (sample) => correct(targets, last.mark, null, (element, outcome) => element.isConnected && shown(element, outcome), { undo: true, sample, items: last.items });
  let result = await takeBack(last.sample);
  if (result === "refused" && last.sample) result = await takeBack(null);  // the sample may be gone
  if (result !== "later") store(UNDO, made);
  return result === "done" || result === "partly" ? targets.filter((element) => element.isConnected) : [];
}

// What a button took back is no longer there for the key to take back.
export function forget(mark, item) {
  store(UNDO, stored(UNDO, []).filter((made) => made.mark !== mark || !made.items.some((one) => nameOf(one) === nameOf(item))));
}

export function askCaption(element) {
  const dialog = document.getElementById("caption");
  const field = dialog.querySelector("textarea");
  field.value = element.dataset.caption;
  dialog.returnValue = "";
  dialog.showModal();
  field.select();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    caption = null;  // keys wait again for what was said before them
    resolve(dialog.returnValue === "save" ? field.value.trim().replace(/\s+/g, " ") : null);
  }, { once: true }));
}

// From a key to what it says: [mark, value], or null; "again" is what was said last when its turn has come.
export function meaning(key) {
  if (/^[1-5]$/.test(key)) return ["label", CLASSES[Number(key) - 1]];
  if (key === "g") return ["good", null];
  if (key === "s") return ["scan_again", null];
  if (key === ".") return ["again", null];
  return null;
}

export function meant(mark, value) {
  if (mark !== "again") return [mark, value];
  const last = stored(LAST, null);
  if (last) return [last.mark, last.value];
  say("Nothing has been said yet that could be said again.");
  return null;
}

export function swatch(label) {
  const mark = document.createElement("span");
  mark.className = `swatch class-${(label || "none").toLowerCase()}`;
  mark.setAttribute("aria-hidden", "true");
  return [mark, document.createTextNode(label || "no class")];
}

export function chips(outcome) {
  const words = { label: "class corrected", caption: "caption corrected", good: "good as it is", scan_again: "scan again", taken_care: "taken care of" };
  const made = Object.keys(outcome.saw).map((mark) => [words[mark], "chip"]);
  if (outcome.needs_review) made.unshift(["to review", "chip attention"]);
  return made.map(([text, name]) => Object.assign(document.createElement("span"), { textContent: text, className: name }));
}
