import { useCallback, useState } from "react";

/**
 * What a person is typing into a form, kept in the tab until it was sent: it survives a reload, an ended session and a pool
 * that goes away. Never give it a password. Kept for one tab only.
 */
export function useDraft<T extends object>(name: string, empty: T): [T, (change: Partial<T>) => void, () => void] {
  const key = `draft.${name}`;
  const [draft, setDraft] = useState<T>(() => ({ ...empty, ...stored<T>(key) }));
  const change = useCallback(
    (part: Partial<T>) =>
      setDraft((before) => {
        const after = { ...before, ...part };
        try {
          sessionStorage.setItem(key, JSON.stringify(after));
        } catch {
          // Storage is full or switched off: the draft lives as long as the page.
        }
        return after;
      }),
    [key],
  );
  const clear = useCallback(() => {
    sessionStorage.removeItem(key);
    setDraft(empty);
  }, [key, empty]);
  return [draft, change, clear];
}

function stored<T>(key: string): Partial<T> {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(key) ?? "{}");
    return typeof value === "object" && value !== null ? (value as Partial<T>) : {};
  } catch {
    return {};
  }
}
