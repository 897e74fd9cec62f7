// The evidence beside the list: it follows the focused row, its forms are sent from where they are, and its address can be
// shared. Narrow screens have no pane: there a row's link leads to the task's own page.

import { answer } from "./answers.js";
import { keep } from "./drafts.js";
import { current, focusRow, isOpen, root, rowOf } from "./list.js";
import { toast } from "./toast.js";

/** @typedef {import("./list.js").Row} Row */

const FOLLOW_MS = 160;
const pane = /** @type {HTMLElement} */ (document.getElementById("pane"));
const roomy = matchMedia("(min-width: 62rem)");
/** @type {AbortController | null} */
let loading = null;
let timer = 0;

/** @returns {boolean} whether there is room for one */
export const fits = () => roomy.matches;
/** @returns {boolean} */
export const isShown = () => !pane.hidden;
/** @returns {string} the task that it shows */
export const task = () => pane.dataset.task ?? "";
/** @returns {boolean} */
export const hasFocus = () => pane.contains(document.activeElement);

/** @param {Row} row show its evidence @param {boolean} [again] even if it is there already @returns {Promise<void>} */
export async function show(row, again = false) {
  const wanted = row.dataset.task ?? "";
  clearTimeout(timer);
  if (!again && task() === wanted && isShown()) return;
  loading?.abort();
  loading = new AbortController();
  pane.hidden = false;
  root.classList.add("three");
  pane.classList.add("waits");
  try {
    const reply = await fetch(`/tasks/${encodeURIComponent(wanted)}/evidence`, { signal: loading.signal, headers: { "X-Requested-With": "fetch" } });
    if (!reply.ok || reply.redirected) throw new Error(String(reply.status));
    pane.innerHTML = await reply.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    pane.innerHTML = "";
    const sorry = pane.appendChild(document.createElement("p"));
    sorry.className = "notice bad";
    sorry.textContent = "The evidence could not be read just now. Press Enter on the row to try again.";
    delete pane.dataset.task;
    return;
  } finally {
    pane.classList.remove("waits");
  }
  root.querySelector("tr.open-here")?.classList.remove("open-here");
  rowOf(wanted)?.classList.add("open-here");
  pane.dataset.task = wanted;
  pane.scrollTop = 0;
  pane.setAttribute("aria-label", `Evidence for ${row.dataset.name}`);
  keep(pane, wanted);
  address(wanted);
  pane.dispatchEvent(new CustomEvent("quartermaster:shown", { bubbles: true, detail: { task: wanted } }));
}

/** The row that has the focus now, a moment later: whoever walks through the list loads nothing. */
export function follow() {
  clearTimeout(timer);
  if (!isShown() || !fits()) return;
  timer = setTimeout(() => {
    const row = current();
    if (row) void show(row);
  }, FOLLOW_MS);
}

/** Give its room to the list. */
export function close() {
  clearTimeout(timer);
  loading?.abort();
  pane.hidden = true;
  root.classList.remove("three");
  delete pane.dataset.task;
  root.querySelector("tr.open-here")?.classList.remove("open-here");
  address("");
}

/** Go into it, or to one of its fields. @param {string} [key] the field marked with data-key */
export function enter(key) {
  const field = key ? pane.querySelector(`[data-key="${key}"]`) : null;
  const target = field instanceof HTMLElement ? field : pane;
  target.focus();
  if (field instanceof HTMLElement) field.scrollIntoView({ block: "center" });
}

/** @param {string} shown */
function address(shown) {
  const url = new URL(location.href);
  if (shown) url.searchParams.set("task", shown);
  else url.searchParams.delete("task");
  url.searchParams.delete("answered");
  url.searchParams.delete("heard");
  if (url.href !== location.href) history.replaceState(null, "", url);
}

pane.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const row = rowOf(task());
  if (!/\/verdict$/.test(form.action) || !row) return;
  event.preventDefault();
  if (!isOpen(row)) return void toast("This task is answered already.");
  const button = event.submitter?.getAttribute("name") === "meaning" ? event.submitter : form.querySelector("button[name=meaning]");
  const fields = new FormData(form, /** @type {HTMLElement} */ (button));
  const meaning = String(fields.get("meaning"));
  /** @type {Record<string, unknown>} */
  const body = { meaning, proposal_hash: String(fields.get("proposal_hash")) };
  const comment = String(fields.get("comment") ?? "").trim();
  if (comment) body.comment = comment;
  const units = Number(fields.get("units") ?? row.dataset.units);
  if (meaning === "approve_edited") body.units = units;
  if (meaning === "reject") body.reason = String(fields.get("reason"));
  const verb = meaning === "reject" ? "Rejected" : "Approved";
  focusRow(row);
  void answer(row, body, `${verb} ${meaning === "approve_edited" ? `${units} instead of ${row.dataset.units}` : row.dataset.units} × ${row.dataset.name}`);
});
