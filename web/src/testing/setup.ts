import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeEach, expect, vi } from "vitest";

// A deadline, not a measure: what is waited for comes as fast as the machine can.
configure({ asyncUtilTimeout: 20_000 });

/** What React says of a list that shows something twice; it is said once, and to the console only. */
const TWICE = "Encountered two children with the same key";
const complaints: string[] = [];

beforeEach(() => {
  // eslint-disable-next-line no-console
  const say = console.error.bind(console);
  vi.spyOn(console, "error").mockImplementation((...words: unknown[]) => {
    if (String(words[0]).startsWith(TWICE)) complaints.push(words.map(String).join(" "));
    say(...words);
  });
});
afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
  expect(complaints.splice(0)).toEqual([]);
});

// jsdom has no scrolling.
window.scrollTo = () => undefined;

// jsdom has no modal dialogs; what tests look at is whether it is open.
if (!HTMLDialogElement.prototype.showModal) {
  HTMLDialogElement.prototype.showModal = function showModal(this: HTMLDialogElement) {
    this.setAttribute("open", "");
  };
  HTMLDialogElement.prototype.close = function close(this: HTMLDialogElement) {
    this.removeAttribute("open");
    this.dispatchEvent(new Event("close"));
  };
}
window.matchMedia ??= (query: string) => ({
  matches: false, media: query, onchange: null,
  addEventListener: () => undefined, removeEventListener: () => undefined,
  addListener: () => undefined, removeListener: () => undefined, dispatchEvent: () => false,
});
