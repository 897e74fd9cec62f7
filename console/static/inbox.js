// The inbox with scripts: which key does what, and what the parts tell each other.

import { approve, canUndo, disarm, resume, undo } from "./answers.js";
import { forget } from "./drafts.js";
import { hold, register } from "./keys.js";
import { current, extend, focusRow, isOpen, move, pick, root, takeOver } from "./list.js";
import { start } from "./live.js";
import * as pane from "./pane.js";
import * as work from "./work.js";

const listed = () => root.querySelector("[data-rows] > tr") !== null;
const answerable = () => {
  const row = current();
  return row !== null && isOpen(row) && row.dataset.may !== undefined;
};
const workable = () => {
  const row = current();
  return row !== null && isOpen(row) && document.getElementById("snooze-dialog") !== null;
};

/** @param {KeyboardEvent | null} event @returns {boolean} */
function open(event) {
  const row = current();
  const focused = document.activeElement;
  if (!row || (event?.key === "Enter" && !focused?.hasAttribute("data-key-item"))) return false;
  if (!pane.fits()) {
    if (event?.key === "Enter") return false;
    location.assign(/** @type {HTMLAnchorElement} */ (row.querySelector("[data-key-item]")).href);
  } else if (pane.isShown() && pane.task() === row.dataset.task) {
    pane.enter();
  } else {
    void pane.show(row, true);
  }
  return true;
}

/** @param {string} key the form of the pane, or of the task's page where there is no pane */
async function form(key) {
  const row = current();
  if (!row) return;
  if (!pane.fits()) {
    location.assign(`${/** @type {HTMLAnchorElement} */ (row.querySelector("[data-key-item]")).pathname}#${key === "e" ? "edit" : "reject"}`);
    return;
  }
  await pane.show(row);
  pane.enter(key);
}

/** @param {number} step */
async function page(step) {
  const inside = pane.hasFocus();
  const row = move(step);
  if (!row || !inside) return;
  await pane.show(row);
  pane.enter();
}

function back() {
  if (disarm()) return true;
  const row = current();
  if (document.activeElement instanceof HTMLElement && document.activeElement.closest(".filters, #pane") && row) focusRow(row);
  else if (pane.isShown() && row && row.contains(document.activeElement)) pane.close();
  else return false;
  return true;
}

register({ id: "next", title: "Next row", keys: ["j"], run: () => void move(1), when: listed });
register({ id: "previous", title: "Previous row", keys: ["k"], run: () => void move(-1), when: listed });
register({ id: "open", title: "Open the evidence", keys: ["Enter", "o"], run: open, when: listed });
register({ id: "approve", title: "Approve", keys: ["a"], run: () => void approve(), when: answerable });
register({ id: "edit", title: "Change the quantity, then approve", keys: ["e"], run: () => hold(form("e")), when: answerable });
register({ id: "reject", title: "Reject with a reason", keys: ["r"], run: () => hold(form("r")), when: answerable });
register({ id: "undo", title: "Undo the newest answer", keys: ["u"], run: () => void undo(), when: canUndo });
register({ id: "select", title: "Select the row", keys: ["x"], run: () => { const row = current(); if (row) pick(row); }, when: answerable });
register({ id: "extend-down", title: "Select downwards", keys: ["Shift+j"], run: () => extend(1), when: listed });
register({ id: "extend-up", title: "Select upwards", keys: ["Shift+k"], run: () => extend(-1), when: listed });
register({ id: "comment", title: "Comment, or ask somebody", keys: ["c"], run: () => work.open("comment"), when: workable });
register({ id: "snooze", title: "Snooze, or wake", keys: ["z"], run: () => work.open("snooze"), when: workable });
register({ id: "claim", title: "Claim, or give the claim back", keys: ["l"], run: () => work.claim(), when: workable });
register({ id: "forward", title: "Forward to somebody", keys: ["f"], run: () => work.open("forward"), when: workable });
register({ id: "page-back", title: "Previous in this view", keys: ["["], run: () => hold(page(-1)), when: listed });
register({ id: "page-on", title: "Next in this view", keys: ["]"], run: () => hold(page(1)), when: listed });
register({ id: "search", title: "Search this view", keys: ["/"], run: () => document.getElementById("text")?.focus() });
register({ id: "back", title: "Back to the list", keys: ["Escape"], run: back });

root.addEventListener("focusin", (event) => {
  if (event.target instanceof Element && event.target.closest("[data-rows]")) pane.follow();
});
root.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("[data-key-item]") : null;
  const row = link?.closest("tr");
  if (!row || !pane.fits() || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  focusRow(row);
  void pane.show(row);
});

const answered = new URL(location.href).searchParams.get("answered");
if (answered) forget(answered); // on its own page, and it counted
takeOver(new URL(location.href).searchParams.get("task") ?? undefined);
resume();
start(() => pane.follow());
const first = current();
const asked = new URL(location.href).searchParams.get("task");
if (first && pane.fits() && (asked || matchMedia("(min-width: 75rem)").matches)) void pane.show(first);
