// The list's rows: one tab stop that j and k move, a selection, and what stands in a row after it was answered. Nothing here
// walks over all rows for a key press, so that 5,000 of them are as quick as 10.

import { announce } from "./toast.js";

export const root = /** @type {HTMLElement} */ (document.querySelector("[data-inbox]"));
/** @typedef {HTMLTableRowElement} Row */

/** Guards a row that changed while somebody looked at it. */
export const CHANGED = "Changed since you looked";

let answered = 0;
/** @type {Row | null} */
let marked = null;

/** @returns {HTMLElement | null} */
const body = () => root.querySelector("[data-rows]");
/** @returns {Row[]} */
export const rows = () => /** @type {Row[]} */ ([...(body()?.children ?? [])]);
/** @param {string} task @returns {Row | null} */
export const rowOf = (task) => /** @type {Row | null} */ (document.getElementById(`row-${task}`));
/** @param {Row} row @returns {HTMLAnchorElement} */
const linkOf = (row) => /** @type {HTMLAnchorElement} */ (row.querySelector("[data-key-item]"));
/** @param {Row} row */
export const isOpen = (row) => row.dataset.state === "open" && !row.classList.contains("done");

/** @returns {Row | null} the row that has the focus, or had it last */
export function current() {
  const focused = document.activeElement?.closest("[data-rows] > tr");
  return /** @type {Row | null} */ (focused) ?? (marked?.isConnected ? marked : null);
}

/** @param {Row} row make it the list's one tab stop */
function mark(row) {
  if (marked && marked !== row && marked.isConnected) linkOf(marked).tabIndex = -1;
  linkOf(row).tabIndex = 0;
  marked = row;
}

/** @param {Row} row */
export function focusRow(row) {
  mark(row);
  linkOf(row).focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

/** @param {Row | null} from @param {number} step @param {boolean} openOnly @returns {Row | null} */
function neighbour(from, step, openOnly) {
  let row = from;
  do row = /** @type {Row | null} */ (step > 0 ? row?.nextElementSibling : row?.previousElementSibling) ?? null;
  while (row && openOnly && !isOpen(row));
  return row;
}

/** @param {number} step @returns {Row | null} the row that has the focus now */
export function move(step) {
  const from = current();
  const elsewhere = !document.activeElement?.closest("[data-keys]");
  if (from && elsewhere) {
    focusRow(from); // back into the list, to where one was
    return from;
  }
  const open = root.dataset.page?.includes("view=answered") !== true;
  const next = from ? neighbour(from, step, open) : /** @type {Row | null} */ (body()?.firstElementChild ?? null);
  if (next) focusRow(next);
  else if (from) focusRow(from);
  return next ?? from;
}

/** After an answer: on to the next open row, else the one before, else the list is finished. @param {Row} row */
export function advance(row) {
  const next = neighbour(row, 1, true) ?? neighbour(row, -1, true);
  if (next) return focusRow(next);
  const finished = document.getElementById("finished");
  if (!finished) return;
  const more = root.querySelector(".pager a[href*='after=']");
  if (more instanceof HTMLAnchorElement) return more.focus();
  finished.hidden = false;
  finished.focus();
}

/** @param {Row} row @param {boolean} [on] */
export function pick(row, on) {
  const box = row.querySelector("input[name=task]");
  if (!(box instanceof HTMLInputElement) || !isOpen(row)) return;
  box.checked = on ?? !box.checked;
  box.dispatchEvent(new Event("change", { bubbles: true }));
}

/** @param {number} step move on and take both rows into the selection */
export function extend(step) {
  const from = current();
  if (from) pick(from, true);
  const to = move(step);
  if (to) pick(to, true);
}

function countPicked() {
  const form = document.getElementById("bulk");
  if (!form) return;
  const n = root.querySelectorAll("input[name=task]:checked").length;
  form.hidden = n === 0;
  form.classList.toggle("floats", n > 0);
  /** @type {HTMLElement} */ (document.getElementById("bulk-count")).textContent = `${n} selected`;
  /** @type {HTMLElement} */ (document.getElementById("bulk-clear")).hidden = n === 0;
}

/** @param {Row} row @param {string} words @param {"plain" | "bad"} [tone] a line under the row; empty takes it away */
export function note(row, words, tone = "plain") {
  const before = row.querySelector(".row-note");
  if (!words) return before?.remove();
  const line = before ?? row.querySelector("th")?.appendChild(document.createElement("p"));
  if (!line) return;
  line.className = `row-note ${tone}`;
  line.textContent = words;
}

/** @param {Row} row @param {string} words @param {boolean} [rejected] */
export function done(row, words, rejected = false) {
  undone(row);
  row.classList.add("done");
  const box = row.querySelector("input[name=task]");
  if (box instanceof HTMLInputElement) {
    pick(row, false);
    box.checked = false;
    box.disabled = true;
    countPicked();
  }
  const outcome = document.createElement("p");
  outcome.className = `outcome ${rejected ? "rejected" : ""}`;
  outcome.textContent = words;
  row.querySelector("th")?.append(outcome);
}

/** @param {Row} row take back what `done` did */
export function undone(row) {
  row.classList.remove("done");
  row.querySelector(".outcome")?.remove();
  const box = row.querySelector("input[name=task]");
  if (box instanceof HTMLInputElement) box.disabled = false;
  const finished = document.getElementById("finished");
  if (finished) finished.hidden = true;
}

/** @param {number} by how many answers more, or fewer after an undo */
export function progress(by) {
  answered += by;
  const shown = document.getElementById("progress");
  if (!shown) return;
  const total = Number(root.dataset.total ?? 0);
  shown.hidden = answered === 0;
  shown.textContent = `${answered} of ${Math.max(total, answered)} done`;
}

/** @param {string} html @returns {Row | null} */
export function parseRow(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.querySelector("tr");
}

/**
 * What a planner sees differently in two states of one row, cell by cell, in words.
 * @param {Row} before @param {Row} now @returns {string} empty when nothing differs
 */
export function differences(before, now) {
  const said = [];
  for (const name of ["Risk", "Proposed", "Supplier", "Deadline"]) {
    const words = [before, now].map((row) => {
      const parts = [...(row.querySelector(`[data-label=${name}]`)?.childNodes ?? [])].map((part) => part.textContent?.trim());
      return parts.filter(Boolean).join(", ");
    });
    if (words[0] !== words[1] && (name !== "Deadline" || said.length)) said.push(`${name.toLowerCase()} was ${words[0]}, is ${words[1]}`);
  }
  return said.join("; ");
}

/** Put another state of a row in its place: focus, selection and scroll stay. @param {Row} before @param {Row} now */
export function replaceRow(before, now) {
  const focused = before.contains(document.activeElement);
  const box = before.querySelector("input[name=task]");
  const ticked = box instanceof HTMLInputElement && box.checked;
  if (before.classList.contains("open-here")) now.classList.add("open-here");
  adopt(now);
  before.replaceWith(now);
  if (marked === before) mark(now);
  if (focused) focusRow(now);
  if (ticked) pick(now, true);
}

/** @param {string} task @param {boolean} [tell] say what changed @returns {Promise<Row | null>} the row as it is now */
export async function refresh(task, tell = true) {
  const answer = await fetch(`/inbox/rows/${encodeURIComponent(task)}`, { headers: { "X-Requested-With": "fetch" } });
  const now = answer.ok ? parseRow(await answer.text()) : null;
  const before = rowOf(task);
  if (!now || !before || Number(now.dataset.version) < Number(before.dataset.version)) return before;
  const changed = before.dataset.hash !== now.dataset.hash && isOpen(before);
  const words = changed && tell ? differences(before, now) || "the evidence is newer" : "";
  replaceRow(before, now);
  if (words) {
    now.dataset.guard = now.dataset.guard ?? CHANGED;
    note(now, `Changed: ${words}.`);
    if (current() === now) announce(`This proposal changed: ${words}`);
  }
  return now;
}

/** @param {Row} row a row that came from the server */
function adopt(row) {
  linkOf(row).tabIndex = -1;
  const box = row.querySelector("input[name=task]");
  if (box instanceof HTMLInputElement) box.tabIndex = -1;
  const more = row.querySelector(".more");
  if (more instanceof HTMLElement) more.tabIndex = -1;
}

/** Take over the rows that are there; called again after the list was replaced. @param {string} [task] */
export function takeOver(task) {
  for (const row of rows()) adopt(row);
  const first = (task && rowOf(task)) || /** @type {Row | null} */ (body()?.firstElementChild ?? null);
  if (first) mark(first);
  countPicked();
}

root.addEventListener("focusin", (event) => {
  const row = /** @type {Element} */ (event.target).closest("[data-rows] > tr");
  if (row) mark(/** @type {Row} */ (row));
});
root.addEventListener("change", (event) => {
  const box = event.target;
  if (!(box instanceof HTMLInputElement) || box.name !== "task") return;
  box.closest("tr")?.classList.toggle("picked", box.checked);
  countPicked();
});
document.getElementById("bulk-clear")?.addEventListener("click", () => {
  for (const row of rows()) pick(row, false);
});
