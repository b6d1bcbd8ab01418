// What every page does: links out of Airflow's frame, its title, local times, dialogs, keys, and requests that write.
export const base = document.documentElement.dataset.base;
export const airflow = document.documentElement.dataset.airflow;
export const isEditor = "editor" in document.documentElement.dataset;
const isFramed = window.parent !== window;

let silence = 0;
export function say(text, isBad = false) {
  const line = document.getElementById("said");
  line.textContent = text;
  line.classList.toggle("bad", isBad);
  clearTimeout(silence);
  silence = setTimeout(() => { line.textContent = ""; }, isBad ? 9000 : 4000);
}

// Airflow's iframe may not navigate the page around it; its router listens to the history, though.
export function goTo(address) {
  if (!isFramed) { location.href = address; return; }
  parent.history.pushState({}, "", address);
  parent.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
}

export async function send(address, body) {
  let answer;
  try {
    answer = await fetch(address, {
      method: "POST", credentials: "same-origin", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", "x-tounum": "1", Accept: "application/json" },
    });
  } catch {
    return { isOk: false, status: 0, content: { detail: "Airflow does not answer: see whether it runs, then try again." } };
  }
  let content = {};
  try { content = await answer.json(); } catch { /* an answer without a body */ }
  if (!answer.ok && typeof content.detail !== "string") content.detail = `It was refused (${answer.status}): ${JSON.stringify(content.detail ?? content)}`;
  if (answer.status === 401) content.detail = "Your login has ended: reload this page (F5) and log in again.";
  return { isOk: answer.ok, status: answer.status, content };
}

export function isTyping(event) {
  return event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") !== null ||
    /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox" && event.target.type !== "range";
}

export function ask(question) {
  const dialog = document.getElementById("confirm");
  document.getElementById("question").textContent = question;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-airflow]");
  if (link && isFramed && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); goTo(link.href); }
  const opener = event.target.closest("[data-open]");
  if (opener) document.getElementById(opener.dataset.open).showModal();
});

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "?") { event.preventDefault(); document.getElementById("keys").showModal(); }
  if (event.key === "/") { event.preventDefault(); document.querySelector(".search input").focus(); }
});

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.valueOf())) {
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    time.title = time.dateTime;
  }
}

// A thumbnail of an older lake is being made: its place is kept, and it is asked for again, a while.
for (const image of document.querySelectorAll(".frame img, .pairs img")) {
  let left = 8;
  const retry = () => {
    image.classList.add("pending");
    if (left-- > 0) setTimeout(() => { image.src = `${image.src.replace(/&again=\d+$/, "")}&again=${left}`; }, 2500);
  };
  image.addEventListener("error", retry);
  image.addEventListener("load", () => image.classList.remove("pending"));
  if (image.complete && image.naturalWidth === 0) retry();
}

if (isFramed) {
  window.focus();  // keys are ours at once
  try { parent.document.title = document.title; } catch { /* framed by somebody else: the policy forbids it */ }
}
