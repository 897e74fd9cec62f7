// The live page asks for what changes every five seconds while somebody looks at it; it can be paused, and rests while a
// pointer or the focus is in the list, so that nothing moves away from under it. Without this script, reloading does.

const EVERY_MS = 5000;
const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("pause"));
const words = document.getElementById("refreshed");
let paused = false;

/** @param {string} text */
function say(text) {
  if (words) words.textContent = text;
}

async function refresh() {
  const shown = document.getElementById("live-parts");
  if (paused || document.hidden || !shown || shown.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { headers: { "X-Fragment": "1" }, redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live-parts");
    if (!parsed || paused) return;
    shown.replaceWith(parsed);
    say(`Refreshed at ${new Date().toLocaleTimeString()}, every 5 seconds.`);
  } catch {
    say("The console did not answer; it is asked again in 5 seconds.");
  }
}

if (button) {
  button.hidden = false;
  say("Refreshed every 5 seconds.");
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
    say(paused ? "Paused: nothing changes until you go on." : "Refreshed every 5 seconds.");
    if (!paused) void refresh();
  });
}
setInterval(() => void refresh(), EVERY_MS);
