// Commands and their keys: one list that the keyboard, the palette and the help dialog share. Single keys act only while a
// list or its evidence (or nothing at all) has the focus, can be switched off and changed (WCAG 2.1.4), and never act
// while somebody types.

/**
 * @typedef {object} Command
 * @property {string} id unique; what a changed key is stored under
 * @property {string} title what it does, for the palette and the help
 * @property {string[]} keys defaults: "j", "Shift+j", "g i" (one after the other), "Control+k", "Enter"
 * @property {(event: KeyboardEvent | null) => boolean | void} run false: not mine after all, let the browser have the key
 * @property {() => boolean} [when] whether it can be done now; asked by the palette too
 */

const SWITCH = "quartermaster.single-keys";
const CHANGED = "quartermaster.keys";
const SEQUENCE_MS = 1500;

/** @type {Map<string, Command>} */
const commands = new Map();
/** @type {Record<string, string>} */
let changed = read();
let prefix = "";
let prefixUntil = 0;

/** @returns {Record<string, string>} command id -> the key that somebody chose for it; "" is none */
function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(CHANGED) ?? "{}");
    return stored && typeof stored === "object" ? stored : {};
  } catch {
    return {};
  }
}

/** @param {Command} command */
export function register(command) {
  commands.set(command.id, command);
}

/** @returns {Command[]} all of them, in the order in which they were registered */
export function all() {
  return [...commands.values()];
}

/** @param {Command} command @returns {string[]} the keys that run it now */
export function keysOf(command) {
  const own = changed[command.id];
  if (own === undefined) return command.keys;
  return own === "" ? [] : [own];
}

/** @returns {boolean} whether single keys act; on unless somebody switched them off in this browser */
export function enabled() {
  return localStorage.getItem(SWITCH) !== "off";
}

/** @param {boolean} on */
export function enable(on) {
  localStorage.setItem(SWITCH, on ? "on" : "off");
}

/**
 * @param {string} id @param {string} key "" for none
 * @returns {string} the title of the command that has this key already; empty: it was taken
 */
export function change(id, key) {
  const taken = all().find((other) => other.id !== id && key !== "" && keysOf(other).includes(key));
  if (taken) return taken.title;
  changed = { ...changed, [id]: key };
  localStorage.setItem(CHANGED, JSON.stringify(changed));
  return "";
}

/** Forget every changed key. */
export function reset() {
  changed = {};
  localStorage.removeItem(CHANGED);
}

/** @param {KeyboardEvent} event @returns {string} how the key is spelled here; empty for a modifier alone */
export function spell(event) {
  if (["Shift", "Control", "Meta", "Alt", "Dead"].includes(event.key)) return "";
  const letter = /^[a-z]$/i.test(event.key);
  const key = letter ? event.key.toLowerCase() : event.key;
  const shift = event.shiftKey && (letter || event.key.length > 1) ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Control+" : ""}${event.altKey ? "Alt+" : ""}${shift}${key}`;
}

/** @param {EventTarget | null} target @returns {boolean} */
export function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !/^(checkbox|radio|button|submit)$/.test(target.type);
  return target.isContentEditable || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

/** @returns {boolean} whether the focus is where single keys act */
function listening() {
  const where = document.activeElement;
  return !where || where === document.body || where.id === "main" || where.closest("[data-keys]") !== null;
}

/** @param {string} pressed @param {boolean} single @returns {Command | undefined} */
function find(pressed, single) {
  return all().find((command) => keysOf(command).includes(pressed) && (!single || command.when?.() !== false));
}

let held = 0;

/** While this goes on, single keys are swallowed: they are meant for a field that is not there yet. @param {Promise<unknown>} doing */
export function hold(doing) {
  held += 1;
  const over = () => void (held -= 1);
  doing.then(over, over);
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const pressed = spell(event);
  if (held && event.key.length === 1 && !isTyping(event.target)) return event.preventDefault();
  if (!pressed || event.isComposing || document.querySelector("dialog[open]")) return;
  const single = !/^(Control|Alt)\+/.test(pressed);
  if (single && pressed !== "Escape" && (isTyping(event.target) || !enabled() || !listening())) return;
  const sequence = prefix && event.timeStamp < prefixUntil ? `${prefix} ${pressed}` : "";
  prefix = "";
  const command = (sequence && find(sequence, true)) || find(pressed, true);
  if (command) {
    if (command.run(event) !== false) event.preventDefault();
  } else if (all().some((each) => keysOf(each).some((key) => key.startsWith(`${pressed} `)))) {
    prefix = pressed;
    prefixUntil = event.timeStamp + SEQUENCE_MS;
    event.preventDefault();
  }
}

document.addEventListener("keydown", onKey);
