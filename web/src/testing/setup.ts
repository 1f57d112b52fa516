import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

// A deadline, not a measure: what is waited for comes as fast as the machine can.
configure({ asyncUtilTimeout: 15_000 });
afterEach(cleanup);

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
