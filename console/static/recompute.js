// While somebody edits a quantity, what it would cost and who must agree stands beside it. Without this script the form's
// own button asks for the same. It listens on the document, so it also serves forms that come in later, as in the inbox.

const PAUSE_MS = 250;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let newest = 0;

/** @param {string} tag @param {string} text @returns {HTMLElement} */
function made(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** @param {string} value @param {string} currency @returns {string} */
function money(value, currency) {
  const amount = Number(value).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  return `${amount} ${currency}`;
}

/** @param {string} share @returns {string} a probability; what is not certain is never 0 % or 100 % */
function percent(share) {
  const value = Number(share);
  if (value > 0 && value < 0.01) return "<1 %";
  if (value > 0.99 && value < 1) return ">99 %";
  return `${Math.round(value * 100)} %`;
}

/** @param {string} title @param {string} proposed @param {string} asked @returns {HTMLTableRowElement} */
function row(title, proposed, asked) {
  const line = document.createElement("tr");
  const head = made("th", title);
  head.setAttribute("scope", "row");
  line.append(head, ...[proposed, asked].map((text) => Object.assign(made("td", text), { className: "num" })));
  return line;
}

/** @param {Record<string, any>} found what the server computed @returns {Node[]} the same as the page without scripts */
function shown(found) {
  const { proposed, asked, currency } = found;
  const table = document.createElement("table");
  table.className = "plain dense";
  const caption = made("caption", "Beside the proposal");
  const head = document.createElement("thead");
  const titles = document.createElement("tr");
  for (const text of ["Figure", "Proposed", "Yours"]) {
    const cell = document.createElement("th");
    const name = made("span", text);
    if (text === "Figure") name.className = "hidden";
    else cell.className = "num";
    cell.setAttribute("scope", "col");
    cell.append(name);
    titles.append(cell);
  }
  head.append(titles);
  const days = (/** @type {string | null} */ value) => (value === null ? "–" : `${Math.round(Number(value))} days`);
  const body = document.createElement("tbody");
  body.append(
    row("Units", proposed.units.toLocaleString("en-US"), asked.units.toLocaleString("en-US")),
    row("Value", money(proposed.value, currency), money(asked.value, currency)),
    row("Lasts", days(proposed.cover_days), days(asked.cover_days)),
    row("Chance of running out", percent(proposed.stockout_risk), percent(asked.stockout_risk)),
    row("Expected cost", money(proposed.expected_cost, currency), money(asked.expected_cost, currency)),
  );
  table.append(caption, head, body);
  const list = document.createElement("ul");
  list.className = "plain-list";
  for (const remark of found.remarks) list.append(Object.assign(made("li", remark), { className: "warn" }));
  for (const rule of found.rules) list.append(made("li", rule.detail));
  if (found.needs_two) list.append(made("li", found.needs_two));
  list.append(made("li", found.may_approve ? "You may approve it" : `You may not approve it: ${found.refusal}`));
  return [table, list];
}

/** @param {HTMLInputElement} input */
async function recompute(input) {
  const target = input.form?.querySelector(".recomputed");
  if (!(target instanceof HTMLElement)) return;
  const units = Number(input.value);
  if (!Number.isInteger(units) || units <= 0 || input.value === input.dataset.proposed) {
    newest += 1;
    target.replaceChildren();
    return;
  }
  const turn = (newest += 1);
  target.classList.add("waiting");
  try {
    const answer = await fetch(`${input.dataset.recompute}?units=${units}`, { headers: { Accept: "application/json" } });
    const found = await answer.json();
    if (turn !== newest) return;
    target.replaceChildren(...(answer.ok ? shown(found) : [made("p", found.detail ?? "This cannot be computed.")]));
  } catch {
    if (turn === newest) target.replaceChildren(made("p", "The server did not answer; the quantity can be approved all the same."));
  } finally {
    if (turn === newest) target.classList.remove("waiting");
  }
}

document.documentElement.classList.add("recomputes");
document.addEventListener("input", (event) => {
  const input = event.target;
  if (!(input instanceof HTMLInputElement) || !input.dataset.recompute) return;
  clearTimeout(timer);
  timer = setTimeout(() => recompute(input), PAUSE_MS);
});
