// Claim, snooze, forward, comment: small dialogs over the same forms that the task's page has; a failed request says so and
// keeps what was typed.

import { forget, keep } from "./drafts.js";
import { current, isOpen, refresh, root } from "./list.js";
import { toast } from "./toast.js";

/** @typedef {import("./list.js").Row} Row */

/** @param {string} task @param {string} act @param {FormData} fields @returns {Promise<string>} the reason why not; empty: done */
async function post(task, act, fields) {
  fields.set("csrf", root.dataset.csrf ?? "");
  try {
    const reply = await fetch(`/inbox/tasks/${encodeURIComponent(task)}/${act}`, { method: "POST", body: fields, headers: { "X-Requested-With": "fetch" } });
    const said = await reply.json().catch(() => ({}));
    if (!reply.ok || !said.said) return said.detail ?? (reply.status === 401 || reply.redirected ? "You are signed out. Sign in again; what you typed is kept." : `The server said ${reply.status}.`);
    toast(said.said);
  } catch {
    return "The server does not answer. What you typed is kept; try again.";
  }
  return "";
}

/** @param {string} task show what became of it */
const anew = (task) => refresh(task, false).catch(() => null);

/** @param {Row} row @param {string} act something that needs no words */
async function now(row, act) {
  const task = row.dataset.task ?? "";
  const why = await post(task, act, new FormData());
  if (why) return void toast(why, { tone: "bad" });
  await anew(task);
}

/** @returns {Row | null} */
function workable() {
  const row = current();
  return row && isOpen(row) && document.getElementById("snooze-dialog") ? row : null;
}

/** Claim it, or give the own claim back. @returns {boolean} */
export function claim() {
  const row = workable();
  if (!row) return false;
  void now(row, row.dataset.claimed === root.dataset.person ? "release" : "claim");
  return true;
}

/** @param {"snooze" | "comment" | "forward"} act @returns {boolean} */
export function open(act) {
  const row = workable();
  const dialog = document.getElementById(`${act}-dialog`);
  if (!row || !(dialog instanceof HTMLDialogElement)) return false;
  if (act === "snooze" && row.dataset.snoozed) {
    void now(row, "wake");
    return true;
  }
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  const task = row.dataset.task ?? "";
  form.reset();
  form.action = `/inbox/tasks/${encodeURIComponent(task)}/${act}`;
  /** @type {HTMLElement} */ (form.querySelector("[data-about]")).textContent = `${row.dataset.units} × ${row.dataset.name}`;
  /** @type {HTMLElement} */ (form.querySelector("[data-problem]")).hidden = true;
  const command = /** @type {HTMLInputElement} */ (form.elements.namedItem("command_id"));
  command.value = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  keep(form, task);
  dialog.showModal();
  /** @type {HTMLElement | null} */ (form.querySelector("textarea, input:not([type=hidden])"))?.focus();
  return true;
}

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("dialog form[data-act]"))) {
  const dialog = /** @type {HTMLDialogElement} */ (form.closest("dialog"));
  form.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const task = form.dataset.draftsOf ?? "";
    const why = await post(task, form.dataset.act ?? "", new FormData(form));
    const problem = /** @type {HTMLElement} */ (form.querySelector("[data-problem]"));
    problem.hidden = !why;
    problem.textContent = why;
    if (why) return;
    forget(task, form.dataset.act);
    dialog.close(); // first: the focus goes back to the row, and stays in it when the row is replaced
    await anew(task);
  });
}
