// Single-key shortcuts: j k Enter in lists, a e r on a task. They only move the focus or follow a link; the answer itself
// is always a form that somebody submits. They can be switched off (WCAG 2.1.4) and never act while somebody types.

const SETTING = "quartermaster.single-keys";

/** @returns {boolean} whether single keys act; on unless somebody switched them off in this browser */
function enabled() {
  return localStorage.getItem(SETTING) !== "off";
}

/** @param {EventTarget | null} target @returns {boolean} */
function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName));
}

/** @param {number} step move the focus so many rows down, or up when negative */
function move(step) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-key-list] [data-key-item]")]);
  if (rows.length === 0) return;
  const current = document.activeElement instanceof HTMLElement ? rows.indexOf(document.activeElement) : -1;
  const next = current < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, current + step));
  rows[next].focus();
  rows[next].closest("tr")?.scrollIntoView({ block: "nearest" });
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (!enabled() || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  } else if (/^[aer]$/.test(event.key)) {
    const target = document.querySelector(`[data-key="${event.key}"]`);
    if (!(target instanceof HTMLElement)) return;
    target.focus();
    target.scrollIntoView({ block: "nearest" });
  } else {
    return;
  }
  event.preventDefault();
}

document.addEventListener("keydown", onKey);

const panel = document.getElementById("keys");
const box = document.getElementById("single-keys");
if (panel && box instanceof HTMLInputElement) {
  panel.hidden = false;
  box.checked = enabled();
  box.addEventListener("change", () => localStorage.setItem(SETTING, box.checked ? "on" : "off"));
}
