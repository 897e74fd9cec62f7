// Ctrl-K: pages and actions by name, each with its key, so that people learn the keys by the way.

import { all, keysOf } from "./keys.js";

/** @typedef {{title: string, keys: string[], run: () => void}} Choice */

const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("palette"));
const input = /** @type {HTMLInputElement | null} */ (document.getElementById("palette-input"));
const list = document.getElementById("palette-list");
/** @type {Choice[]} */
let shown = [];
let current = 0;

/** @returns {Choice[]} what can be done on this page now, then where one can go */
function choices() {
  const can = all().filter((command) => command.id !== "palette" && !command.id.startsWith("go-") && command.when?.() !== false);
  const actions = can.map((command) => ({ title: command.title, keys: keysOf(command), run: () => void command.run(null) }));
  const places = [...document.querySelectorAll(".phone-nav a")].map((link) => {
    const command = all().find((each) => each.id === `go-${link.getAttribute("data-go")}`);
    return { title: link.textContent ?? "", keys: command ? keysOf(command) : [], run: () => location.assign(/** @type {HTMLAnchorElement} */ (link).href) };
  });
  return [...actions, ...places];
}

/** @param {string} typed @returns {Choice[]} */
function matching(typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const found = choices().filter((choice) => words.every((word) => choice.title.toLowerCase().includes(word)));
  if (/\S:\S/.test(typed)) {
    const id = typed.trim();
    found.unshift({ title: `Decision ${id}`, keys: [], run: () => location.assign(`/decisions?id=${encodeURIComponent(id)}`) });
  }
  return found.slice(0, 40);
}

function draw() {
  if (!list || !input) return;
  shown = matching(input.value);
  current = Math.min(current, Math.max(0, shown.length - 1));
  list.replaceChildren(
    ...shown.map((choice, index) => {
      const item = document.createElement("li");
      item.id = `palette-${index}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(index === current));
      item.append(choice.title);
      const keys = document.createElement("span");
      for (const key of choice.keys) {
        const cap = document.createElement("kbd");
        cap.textContent = key;
        keys.append(cap, " ");
      }
      item.append(keys);
      item.addEventListener("click", () => take(index));
      return item;
    }),
  );
  if (shown.length) input.setAttribute("aria-activedescendant", `palette-${current}`);
  else input.removeAttribute("aria-activedescendant");
  list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  /** @type {HTMLElement} */ (document.getElementById("palette-none")).hidden = shown.length > 0;
}

/** @param {number} index */
function take(index) {
  const choice = shown[index];
  if (!choice) return;
  dialog?.close();
  choice.run();
}

/** Open it, empty. */
export function openPalette() {
  if (!dialog || !input) return;
  input.value = "";
  current = 0;
  dialog.showModal();
  draw();
  input.focus();
}

input?.addEventListener("input", () => {
  current = 0;
  draw();
});
input?.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && shown.length) {
    current = (current + step + shown.length) % shown.length;
    draw();
  } else if (event.key === "Enter") {
    take(current);
  } else {
    return;
  }
  event.preventDefault();
});
dialog?.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
