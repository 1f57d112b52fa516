/**
 * What a tab keeps of the person who uses it until it is no longer needed: drafts, and keys of what was not answered yet.
 *
 * It survives a reload and lies under the person's id: who signs in next in the same tab does not see it, and removes it.
 *
 * Invariant: no password is given to this, and nothing of it leaves the tab.
 */

const PREFIX = "hm.";

let owner = "";
/** What did not fit into the browser's storage, or where that is switched off: it lives as long as the page. */
const memory = new Map<string, string>();

const place = (name: string) => `${PREFIX}${owner}.${name}`;

/** The storage, or null where the browser refuses it. */
function storage(): Storage | null {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

/** From now on things are kept for this person; what was kept for anybody else is removed. */
export function keepFor(userId: string) {
  owner = userId;
  removeWhere((key) => !key.startsWith(place("")));
}

/** Removes all that is kept, and keeps for nobody in particular. */
export function forgetKept() {
  owner = "";
  removeWhere(() => true);
}

function removeWhere(goes: (key: string) => boolean) {
  for (const key of [...memory.keys()]) if (goes(key)) memory.delete(key);
  const held = storage();
  if (!held) return;
  for (const key of Object.keys(held)) if (key.startsWith(PREFIX) && goes(key)) held.removeItem(key);
}

/** What is kept under the name; null where nothing is, or nothing that can be read. */
export function kept(name: string): unknown {
  const text = memory.get(place(name)) ?? storage()?.getItem(place(name)) ?? null;
  if (text === null) return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

export function keep(name: string, value: unknown) {
  const key = place(name);
  const text = JSON.stringify(value);
  const held = storage();
  try {
    if (!held) throw new Error("there is no storage");
    held.setItem(key, text);
    memory.delete(key);
  } catch {
    // Full or switched off. What is stored from before is no longer true.
    held?.removeItem(key);
    memory.set(key, text);
  }
}

export function drop(name: string) {
  memory.delete(place(name));
  storage()?.removeItem(place(name));
}
