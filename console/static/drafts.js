// What somebody typed is kept until it was sent: through a reload, a lost session and a server that restarts. It stays in this
// tab's storage, under the person's name, and is forgotten after a week.

const WEEK_MS = 7 * 24 * 3600 * 1000;
const person = /** @type {HTMLElement | null} */ (document.querySelector("[data-person]"))?.dataset.person ?? "";
const PREFIX = `quartermaster.draft.${person}.`;

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field */

/** @param {Field} field @returns {boolean} */
function kept(field) {
  return Boolean(field.name) && !/^(hidden|submit|button|checkbox|password)$/.test(field.type) && field.name !== "csrf";
}

/** @param {Field} field @param {string} task @returns {string} */
function placeOf(field, task) {
  const form = field.form;
  const which = form?.dataset.act ?? form?.id ?? "";
  return `${PREFIX}${task}.${which}.${field.name}`;
}

/** Keep what is typed into the fields of `holder`, and give back what was. @param {HTMLElement} holder @param {string} task */
export function keep(holder, task) {
  for (const field of /** @type {NodeListOf<Field>} */ (holder.querySelectorAll("input, select, textarea"))) {
    if (!kept(field)) continue;
    const stored = sessionStorage.getItem(placeOf(field, task));
    if (stored) restore(field, stored);
  }
  holder.dataset.draftsOf = task;
}

/** @param {Field} field @param {string} stored */
function restore(field, stored) {
  try {
    const { text, at } = JSON.parse(stored);
    if (Date.now() - at > WEEK_MS) return;
    if (field.type === "radio") /** @type {HTMLInputElement} */ (field).checked = field.value === text;
    else field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  } catch {
    // Not one of ours.
  }
}

/** @param {string} task forget everything that was typed about it @param {string} [which] only this form's */
export function forget(task, which) {
  const start = `${PREFIX}${task}.${which ? `${which}.` : ""}`;
  for (const place of Object.keys(sessionStorage)) if (place.startsWith(start)) sessionStorage.removeItem(place);
}

/** @param {Event} event */
function onInput(event) {
  const field = /** @type {Field} */ (event.target);
  const holder = field.closest?.("[data-drafts-of]");
  if (!(holder instanceof HTMLElement) || !kept(field)) return;
  sessionStorage.setItem(placeOf(field, holder.dataset.draftsOf ?? ""), JSON.stringify({ text: field.value, at: Date.now() }));
}

document.addEventListener("input", onInput);
document.addEventListener("change", onInput);
