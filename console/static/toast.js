// What happened, said once: a toast for the eyes, a polite live region for screen readers.

/** @param {string} text for screen readers; said again even when it is the same words */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (!region) return;
  region.textContent = "";
  setTimeout(() => (region.textContent = text), 30);
}

/**
 * @typedef {object} Told
 * @property {"plain" | "bad"} [tone] bad ones stay until they are closed
 * @property {number} [seconds] how long it stays; with an action these are counted down
 * @property {string} [action] the button's words
 * @property {() => void} [act]
 */

/** @param {string} text @param {Told} [told] @returns {() => void} closes it */
export function toast(text, told = {}) {
  const box = document.createElement("div");
  box.className = `toast ${told.tone ?? "plain"}`;
  box.dataset.keys = "";
  const words = box.appendChild(document.createElement("p"));
  words.textContent = text;
  const stays = told.tone === "bad" && !told.seconds;
  let left = Math.round(told.seconds ?? 6);
  const count = document.createElement("span");
  count.className = "count";
  count.setAttribute("aria-hidden", "true");
  if (told.action) {
    const button = box.appendChild(document.createElement("button"));
    button.type = "button";
    button.append(told.action);
    button.addEventListener("click", () => {
      close();
      told.act?.();
    });
    if (!stays) {
      count.textContent = ` ${left} s`;
      button.append(count);
    }
  }
  if (stays || !told.action) {
    const button = box.appendChild(document.createElement("button"));
    button.type = "button";
    button.textContent = "Close";
    button.addEventListener("click", () => close());
  }
  document.getElementById("toasts")?.append(box);
  announce(told.action && !stays ? `${text}. ${told.action}` : text);
  const timer = stays
    ? 0
    : setInterval(() => {
        left -= 1;
        count.textContent = ` ${left} s`;
        if (left <= 0) close();
      }, 1000);
  function close() {
    clearInterval(timer);
    box.remove();
  }
  return close;
}
