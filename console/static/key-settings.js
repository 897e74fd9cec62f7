// The keyboard dialog: what each key does, another key for it, all single keys off. Kept in this browser only.

import { all, change, enable, enabled, keysOf, reset, spell } from "./keys.js";

/** @param {HTMLElement} parent @param {string} tag @param {string} text @returns {HTMLElement} */
function add(parent, tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return parent.appendChild(made);
}

function fill() {
  const table = /** @type {HTMLElement} */ (document.getElementById("key-table"));
  table.replaceChildren();
  add(table, "caption", "What each key does").className = "hidden";
  const head = add(add(table, "thead", ""), "tr", "");
  for (const title of ["Action", "Key"]) add(head, "th", title).setAttribute("scope", "col");
  const rows = add(table, "tbody", "");
  for (const command of all()) {
    const row = add(rows, "tr", "");
    const name = add(row, "th", command.title);
    name.setAttribute("scope", "row");
    const field = /** @type {HTMLInputElement} */ (add(add(row, "td", ""), "input", ""));
    field.value = keysOf(command).join(" or ");
    field.readOnly = true;
    field.setAttribute("aria-label", `Key for: ${command.title}`);
    field.addEventListener("keydown", (event) => onField(event, command.id, field));
  }
}

/** @param {KeyboardEvent} event @param {string} id @param {HTMLInputElement} field */
function onField(event, id, field) {
  const pressed = spell(event);
  if (!pressed || /^(Shift\+)?Tab$/.test(pressed) || pressed === "Escape") return;
  event.preventDefault();
  const taken = change(id, pressed === "Backspace" ? "" : pressed);
  const problem = /** @type {HTMLElement} */ (document.getElementById("keys-problem"));
  problem.hidden = !taken;
  problem.textContent = taken ? `“${pressed}” is taken: ${taken}. Give that another key first.` : "";
  if (!taken) field.value = pressed === "Backspace" ? "" : pressed;
}

/** Open the dialog. */
export function openKeys() {
  fill();
  /** @type {HTMLElement} */ (document.getElementById("keys-problem")).hidden = true;
  /** @type {HTMLInputElement} */ (document.getElementById("single-keys")).checked = enabled();
  /** @type {HTMLDialogElement} */ (document.getElementById("keys")).showModal();
}

document.getElementById("single-keys")?.addEventListener("change", (event) => {
  enable(/** @type {HTMLInputElement} */ (event.target).checked);
});
document.getElementById("keys-reset")?.addEventListener("click", () => {
  reset();
  fill();
});
