// Approve, edit, reject, undo: the row changes at once, and back again with the server's reason when it says no.

import { forget } from "./drafts.js";
import { advance, CHANGED, current, done, isOpen, note, progress, refresh, root, rowOf, undone } from "./list.js";
import { send, unsent, write } from "./outbox.js";
import { announce, toast } from "./toast.js";

/** @typedef {import("./list.js").Row} Row */
/** @typedef {{task: string, approval: string, name: string, close: () => void}} Undoable */

/** @type {Undoable[]} newest last */
const undoable = [];
/** @type {Row | null} the row whose guard was answered by a first key press */
let armed = null;

/** @returns {Row | null} */
function answerable() {
  const row = current();
  if (!row || !isOpen(row)) return null;
  if (row.dataset.may !== undefined) return row;
  toast("Your role or your locations do not let you answer this task.", { tone: "bad", seconds: 6 });
  return null;
}

/** One key press approves; a guard wants a second one. @returns {boolean} */
export function approve() {
  const row = answerable();
  if (!row) return false;
  const what = `${row.dataset.units} × ${row.dataset.name}`;
  const guard = row.dataset.guard ?? (row.dataset.signed && `${row.dataset.signed} signed first, see for how many units`);
  if (guard && armed !== row) {
    disarm();
    armed = row;
    const words = `${guard}: approve ${what} for ${row.dataset.value} all the same? The same key again, or Esc.`;
    row.dataset.told = row.querySelector(".row-note")?.textContent ?? "";
    note(row, words);
    announce(words);
    return true;
  }
  armed = null;
  answer(row, { meaning: "approve", proposal_hash: row.dataset.hash }, `Approved ${what}`);
  return true;
}

/** @returns {boolean} whether there was a question to take back */
export function disarm() {
  if (!armed) return false;
  if (!armed.classList.contains("done")) note(armed, armed.dataset.told ?? "");
  armed = null;
  return true;
}

root.addEventListener("focusin", (event) => {
  if (armed && !armed.contains(/** @type {Node} */ (event.target)) && !(event.target instanceof Element && event.target.closest("#pane"))) disarm();
});

/**
 * @param {Row} row @param {Record<string, unknown>} body the verdict @param {string} words what is said when it counts
 */
export async function answer(row, body, words) {
  const task = row.dataset.task ?? "";
  const rejected = body.meaning === "reject";
  note(row, "");
  done(row, words.split(" ")[0], rejected);
  progress(1);
  if (root.contains(document.activeElement)) advance(row);
  await deliver(write(task, "verdict", body, words));
}

/** @param {import("./outbox.js").Letter} letter */
async function deliver(letter) {
  const { task, name: words } = letter;
  let told = false;
  const reply = await send(letter, (seconds) => {
    const row = rowOf(task);
    if (row) note(row, `Not sent yet: no answer from the server. Trying again in ${seconds} s; nothing is lost.`, "bad");
    if (!told) toast(`${words}: not sent yet. The server does not answer; it is tried again under the same key.`, { tone: "bad", seconds: 10 });
    told = true;
  });
  const row = rowOf(task);
  if (row) note(row, "");
  if (reply.status === 200) return counted(letter, reply.body);
  if (row) undone(row);
  progress(-1);
  if (reply.status === 401) return toast("You are signed out. Sign in again: your answer is kept and sent then.", { tone: "bad" });
  return refused(letter, reply);
}

/** @param {import("./outbox.js").Letter} letter @param {any} receipt */
function counted(letter, receipt) {
  const row = rowOf(letter.task);
  forget(letter.task);
  const words = receipt.complete === false ? `Signed, first of two: ${letter.name}` : letter.name;
  if (row && receipt.complete === false) done(row, "Signed, 1 of 2");
  const seconds = receipt.undo_seconds;
  const entry = { task: letter.task, approval: receipt.approval_id, name: letter.name, close: () => {} };
  if (!seconds) return void toast(words);
  undoable.push(entry);
  entry.close = toast(words, { seconds, action: "Undo (u)", act: () => void undo(entry) });
}

/** @param {import("./outbox.js").Letter} letter @param {import("./outbox.js").Reply} reply */
async function refused(letter, reply) {
  const why = reply.body.detail ?? `the server said ${reply.status}`;
  const stale = String(reply.body.type ?? "").endsWith("stale-proposal");
  const now = await refresh(letter.task);
  if (stale && now) {
    if (now.dataset.guard === CHANGED) delete now.dataset.guard; // told below: one press more is enough
    const said = (reply.body.changes ?? []).map((/** @type {{words: string}} */ one) => one.words).join("; ");
    if (said) note(now, `Changed since you looked: ${said}. Approve again if it is still right.`);
    toast(`Not counted: the proposal of ${now.dataset.name} changed. ${said}`, { tone: "bad", action: "Look at it", act: () => focusTask(letter.task) });
  } else {
    toast(`Not counted: ${why}`, { tone: "bad", action: "Look at it", act: () => focusTask(letter.task) });
    if (now && isOpen(now)) note(now, `Not counted: ${why}`, "bad");
    if (now && !isOpen(now) && now.dataset.state !== "open") done(now, `${now.querySelector(".deadline")?.textContent?.trim() ?? ""}`);
  }
}

/** @param {string} task */
function focusTask(task) {
  const link = rowOf(task)?.querySelector("[data-key-item]");
  if (link instanceof HTMLElement) link.focus();
}

/** Take the newest answer back, or this one. @param {Undoable} [entry] @returns {Promise<void>} */
export async function undo(entry = undoable.at(-1)) {
  if (!entry) return void toast("There is nothing to undo.");
  undoable.splice(undoable.indexOf(entry), 1);
  entry.close();
  const letter = write(entry.task, "undo", { approval_id: entry.approval }, entry.name);
  const reply = await send(letter, (seconds) => announce(`No answer from the server; trying again in ${seconds} seconds`));
  if (reply.status !== 200) return void toast(`Not undone: ${reply.body.detail ?? reply.status}`, { tone: "bad" });
  const row = rowOf(entry.task);
  if (row) {
    undone(row);
    progress(-1);
    row.dataset.version = "0";
    await refresh(entry.task, false);
    focusTask(entry.task);
  }
  toast(`Taken back: ${entry.name}`);
}

/** @returns {boolean} */
export const canUndo = () => undoable.length > 0;

/** Send again what a reload interrupted. */
export function resume() {
  for (const letter of unsent()) {
    if (letter.path !== "verdict") continue;
    const row = rowOf(letter.task);
    if (row) done(row, letter.name.split(" ")[0], letter.body.meaning === "reject");
    progress(1);
    void deliver(letter);
  }
}
