import { useSyncExternalStore } from "react";

/** One clock for the page: everything relative moves together, once a second, while it is looked at. */
const listeners = new Set<() => void>();
let timer: number | undefined;
let present = Date.now();

function tick() {
  present = Date.now();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (timer === undefined) {
    present = Date.now();
    timer = window.setInterval(tick, 1000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The present in Unix milliseconds, exact to a second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => present);
}
