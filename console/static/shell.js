// What every page gets when scripts run: menus that close, the palette, the keyboard dialog, and keys for what a page marks
// with data-key ("a": focus it; with data-key-does="press": press it) and data-key-list (j and k).

import { openKeys } from "./key-settings.js";
import { register } from "./keys.js";
import { openPalette } from "./palette.js";

/** @param {number} step move the focus so many rows down, or up when negative */
function move(step) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-key-list] [data-key-item]")]);
  if (rows.length === 0) return false;
  const now = document.activeElement instanceof HTMLElement ? rows.indexOf(document.activeElement) : -1;
  const next = now < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, now + step));
  rows[next].focus();
  rows[next].closest("tr")?.scrollIntoView({ block: "nearest" });
}

/** @param {string} key */
function reach(key) {
  const target = document.querySelector(`[data-key="${key}"]`);
  if (!(target instanceof HTMLElement)) return false;
  target.focus();
  target.scrollIntoView({ block: "nearest" });
  if (target.dataset.keyDoes === "press") target.click();
}

/** @param {string} selector @returns {() => boolean} */
const there = (selector) => () => document.querySelector(selector) !== null;

if (!document.querySelector("[data-inbox]")) {
  register({ id: "next", title: "Next row", keys: ["j"], run: () => move(1), when: there("[data-key-list]") });
  register({ id: "previous", title: "Previous row", keys: ["k"], run: () => move(-1), when: there("[data-key-list]") });
  register({ id: "approve", title: "Approve", keys: ["a"], run: () => reach("a"), when: there('[data-key="a"]') });
  register({ id: "edit", title: "Change the quantity", keys: ["e"], run: () => reach("e"), when: there('[data-key="e"]') });
  register({ id: "reject", title: "Reject", keys: ["r"], run: () => reach("r"), when: there('[data-key="r"]') });
}
for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll(".phone-nav a[data-go]"))) {
  register({ id: `go-${link.dataset.go}`, title: `Go to ${link.textContent}`, keys: [`g ${link.dataset.go}`], run: () => location.assign(link.href) });
}
register({ id: "palette", title: "Go to a page or do something", keys: ["Control+k"], run: openPalette });
register({ id: "help", title: "Show and change the keys", keys: ["?"], run: openKeys });

for (const [id, open] of /** @type {[string, () => void][]} */ ([["open-palette", openPalette], ["open-keys", openKeys]])) {
  const button = document.getElementById(id);
  if (!button) continue;
  button.hidden = false;
  button.addEventListener("click", open);
}

const menus = /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll(".top details"));
document.addEventListener("click", (event) => {
  for (const menu of menus) if (menu.open && !menu.contains(/** @type {Node} */ (event.target))) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus) {
    if (!menu.open) continue;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});
