/** Runs `start` now and whenever the page comes to the front, and what it returns whenever the page is hidden. Returns what ends both. */
export function whileShown(start: () => () => void): () => void {
  let stop: (() => void) | null = null;
  const look = () => {
    if (document.visibilityState === "hidden") {
      stop?.();
      stop = null;
    } else stop ??= start();
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    document.removeEventListener("visibilitychange", look);
    stop?.();
    stop = null;
  };
}
