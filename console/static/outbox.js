// Answers on their way: each is written down with its idempotency key before it is sent, and sent again under the same key
// until the server has said yes or no. So nothing is lost by a reload or a restart, and nothing is done twice.

import { root } from "./list.js";

const PREFIX = `quartermaster.outbox.${root.dataset.person}.`;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15000;

/**
 * @typedef {object} Letter
 * @property {string} task
 * @property {string} path below /api/v1/tasks/<task>/
 * @property {string} key the idempotency key
 * @property {Record<string, unknown>} body
 * @property {string} name what it is about, for people
 */

/** @typedef {{status: number, body: any}} Reply */

/** @param {string} task @param {string} path @param {Record<string, unknown>} body @param {string} name @returns {Letter} */
export function write(task, path, body, name) {
  const place = `${PREFIX}${task}.${path}`;
  const before = read(place);
  const same = before && JSON.stringify(before.body) === JSON.stringify(body);
  const letter = same ? before : { task, path, key: crypto.randomUUID?.() ?? random(), body, name };
  sessionStorage.setItem(place, JSON.stringify(letter));
  return letter;
}

/** Plain http on another host than this machine has no randomUUID. @returns {string} */
function random() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} place @returns {Letter | null} */
function read(place) {
  try {
    return JSON.parse(sessionStorage.getItem(place) ?? "null");
  } catch {
    return null;
  }
}

/** @returns {Letter[]} what was written and never confirmed: a reload came in between */
export function unsent() {
  const places = Object.keys(sessionStorage).filter((place) => place.startsWith(PREFIX));
  return /** @type {Letter[]} */ (places.map(read).filter(Boolean));
}

/** @param {Letter} letter */
export function drop(letter) {
  sessionStorage.removeItem(`${PREFIX}${letter.task}.${letter.path}`);
}

/**
 * @param {Letter} letter @param {(seconds: number) => void} waits told before each wait for the next try
 * @returns {Promise<Reply>} the server's yes or no; the letter stays written when one has to sign in first
 */
export async function send(letter, waits) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    const reply = await once(letter);
    if (reply && reply.status < 500 && reply.status !== 429) {
      if (reply.status !== 401) drop(letter);
      return reply;
    }
    waits(wait / 1000);
    await Promise.race([
      new Promise((resolve) => setTimeout(resolve, wait)),
      new Promise((resolve) => addEventListener("online", resolve, { once: true })),
    ]);
  }
}

/** @param {Letter} letter @returns {Promise<Reply | null>} null: no answer came */
async function once(letter) {
  try {
    const answer = await fetch(`/api/v1/tasks/${encodeURIComponent(letter.task)}/${letter.path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": letter.key, "X-Requested-With": "fetch" },
      body: JSON.stringify(letter.body),
      keepalive: true,
    });
    return { status: answer.status, body: await answer.json().catch(() => ({})) };
  } catch {
    return null;
  }
}
