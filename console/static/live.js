// What moves elsewhere: rows change in place, new ones are announced in a quiet bar, and the focused row never shifts. One
// stream of server-sent events; while there is none, the list is asked for every 15 seconds.

import { current, done, isOpen, refresh, root, rowOf, rows, takeOver } from "./list.js";
import { announce } from "./toast.js";

const POLL_MS = 15000;
const RECONNECT_MS = 60000;
const SILENT_MS = 45000;

/** @type {Set<string>} tasks that the list does not show and that moved */
const news = new Set();
let polling = 0;
let heardAt = 0;
/** @type {EventSource | null} */
let source = null;
/** @type {(() => void) | null} told after the list was replaced */
let onReplaced = null;

/** @param {"live" | "polling" | "off"} state @param {string} words */
function tell(state, words) {
  const shown = document.getElementById("live-state");
  if (!shown) return;
  shown.hidden = false;
  if (shown.dataset.state === state && shown.textContent === words) return;
  shown.dataset.state = state;
  shown.textContent = words;
}

function showNews() {
  const bar = /** @type {HTMLElement} */ (document.getElementById("news"));
  const button = /** @type {HTMLElement} */ (document.getElementById("show-news"));
  bar.hidden = news.size === 0;
  const words = `${news.size} new: show`;
  if (news.size && button.textContent !== words) announce(`${news.size} new in the inbox`);
  button.textContent = words;
}

/** @param {{decision_id: string, state: string, version?: number, by?: string}} event */
async function taskMoved(event) {
  const row = rowOf(event.decision_id);
  if (!row) {
    if (event.state === "open") news.add(event.decision_id);
    else news.delete(event.decision_id);
    return showNews();
  }
  if (row.classList.contains("done") && event.state !== "open") return;
  if (event.version && event.version <= Number(row.dataset.version)) return;
  const before = isOpen(row);
  const now = await refresh(event.decision_id);
  if (now && before && now.dataset.state !== "open") gone(now, event.by);
}

/** Somebody else answered: the row stays where it is, and says so. @param {import("./list.js").Row} row @param {string} [by] */
function gone(row, by) {
  const words = row.querySelector(".deadline")?.textContent?.replace(/\s+/g, " ").trim() ?? row.dataset.state ?? "";
  done(row, words);
  if (current() === row) announce(`${row.dataset.name}: ${words}${by && !words.includes(by) ? ` by ${by}` : ""}`);
}

/** @returns {Promise<HTMLTemplateElement | null>} the list as it is now */
async function fetchList() {
  try {
    const reply = await fetch(root.dataset.address ?? "/inbox/list", { headers: { "X-Requested-With": "fetch" } });
    if (!reply.ok || reply.redirected) return null;
    const holder = document.createElement("template");
    holder.innerHTML = await reply.text();
    return holder;
  } catch {
    return null;
  }
}

/** Ask for the list and tell what moved, as the stream would have. */
async function poll() {
  const holder = await fetchList();
  if (!holder) return tell("off", "Not connected: trying again");
  if (!source || source.readyState !== EventSource.OPEN) tell("polling", `Asking every ${POLL_MS / 1000} s`);
  const now = new Map([...holder.content.querySelectorAll("tr[data-task]")].map((row) => [row.getAttribute("data-task") ?? "", row]));
  for (const [task, row] of now) {
    await taskMoved({ decision_id: task, state: "open", version: Number(row.getAttribute("data-version")) });
  }
  for (const row of rows()) {
    if (isOpen(row) && !now.has(row.dataset.task ?? "")) {
      const left = await refresh(row.dataset.task ?? "");
      if (left && left.dataset.state !== "open") gone(left);
    }
  }
}

/** Show the list as it is now; the focused task stays focused and where it is on the screen. */
export async function reload() {
  const holder = await fetchList();
  const list = document.getElementById("list");
  if (!holder || !list) return;
  const held = current();
  const task = held?.dataset.task;
  const top = held?.getBoundingClientRect().top ?? 0;
  const focused = held?.contains(document.activeElement);
  list.replaceChildren(holder.content);
  takeOver(task);
  const row = task ? rowOf(task) : null;
  if (row && focused) /** @type {HTMLElement} */ (row.querySelector("[data-key-item]")).focus({ preventScroll: true });
  if (row) (list.closest(".middle-pane") ?? document.documentElement).scrollBy(0, row.getBoundingClientRect().top - top);
  news.clear();
  showNews();
  onReplaced?.();
}

function startPolling() {
  if (polling) return;
  void poll();
  polling = setInterval(() => void poll(), POLL_MS);
}

function stopPolling() {
  clearInterval(polling);
  polling = 0;
}

function connect() {
  source = new EventSource("/live/events");
  const alive = () => {
    heardAt = Date.now();
    stopPolling();
    tell("live", "Live");
  };
  source.addEventListener("hello", alive);
  source.addEventListener("beat", (event) => {
    alive();
    if (JSON.parse(event.data).fresh === false) tell("polling", "Connected; the database does not answer");
  });
  source.addEventListener("reset", () => void poll());
  source.addEventListener("task", (event) => {
    alive();
    void taskMoved(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    startPolling();
    if (source?.readyState === EventSource.CLOSED) setTimeout(connect, RECONNECT_MS);
  });
}

/** @param {() => void} replaced */
export function start(replaced) {
  onReplaced = replaced;
  document.getElementById("show-news")?.addEventListener("click", () => void reload());
  if (root.dataset.live) connect();
  else startPolling();
  setInterval(() => {
    if (source?.readyState === EventSource.OPEN && Date.now() - heardAt > SILENT_MS) startPolling();
  }, POLL_MS);
  addEventListener("offline", () => tell("off", "Not connected: trying again"));
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
