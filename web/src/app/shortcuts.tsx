import { useEffect, useRef, useState } from "react";
import { Dialog } from "../ui";

export type Shortcut = { keys: string; what: string; run: () => void };

const CHORD_MS = 1200;

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/**
 * Keys for the whole page: single ones (`/`) and pairs (`g t`). Not while somebody types, not with Ctrl, Alt or Meta, and not
 * in a dialog. `?` lists them.
 */
export function Shortcuts({ shortcuts }: { shortcuts: readonly Shortcut[] }) {
  const [help, setHelp] = useState(false);
  const first = useRef({ key: "", at: 0 });
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey || typing(event.target) || document.querySelector("dialog[open]")) return;
      const now = event.timeStamp;
      const chord = now - first.current.at < CHORD_MS ? `${first.current.key} ${event.key}` : "";
      const found = shortcuts.find((shortcut) => shortcut.keys === chord) ?? shortcuts.find((shortcut) => shortcut.keys === event.key);
      first.current = { key: event.key, at: now };
      if (event.key === "?") setHelp(true);
      else if (found) {
        event.preventDefault();
        found.run();
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [shortcuts]);
  return (
    <Dialog open={help} title="Keyboard shortcuts" onClose={() => setHelp(false)}>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-2">
        {[...shortcuts, { keys: "?", what: "This list", run: () => undefined }].map((shortcut) => (
          <div key={shortcut.keys} className="contents">
            <dt>{shortcut.keys.split(" ").map((key) => <kbd key={key} className="bg-sunken border-line mr-1 rounded border px-1.5 font-mono">{key}</kbd>)}</dt>
            <dd>{shortcut.what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
