import { useCallback, useState } from "react";
import { drop, keep, kept } from "./kept";

/**
 * What a person is typing into a form, kept in the tab until it was sent: it survives a reload, an ended session and a pool
 * that goes away. Never give it a password. Kept for one tab and one person only.
 */
export function useDraft<T extends object>(name: string, empty: T): [T, (change: Partial<T>) => void, () => void] {
  const key = `draft.${name}`;
  const [draft, setDraft] = useState<T>(() => ({ ...empty, ...stored<T>(key) }));
  const change = useCallback(
    (part: Partial<T>) =>
      setDraft((before) => {
        const after = { ...before, ...part };
        keep(key, after);
        return after;
      }),
    [key],
  );
  const clear = useCallback(() => {
    drop(key);
    setDraft(empty);
  }, [key, empty]);
  return [draft, change, clear];
}

function stored<T>(key: string): Partial<T> {
  const value = kept(key);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Partial<T>) : {};
}
