import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, useState } from "react";
import { IconButton } from "./Button";
import { cx } from "./class";

async function toClipboard(text: string): Promise<void> {
  // Pages over plain HTTP from another machine have no clipboard API; the old way still works there.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser does not let the page copy");
}

/** A button that copies `text`; `what` names it, such as `the task's id`. */
export function Copy({ text, what }: { text: string; what: string }) {
  const [state, setState] = useState<"idle" | "done" | "failed">("idle");
  useEffect(() => {
    if (state === "idle") return undefined;
    const timer = window.setTimeout(() => setState("idle"), 2000);
    return () => window.clearTimeout(timer);
  }, [state]);
  const label = state === "done" ? "Copied" : state === "failed" ? "Could not copy: select it and copy by hand" : `Copy ${what}`;
  return (
    <>
      <IconButton label={label} small onClick={() => void toClipboard(text).then(() => setState("done"), () => setState("failed"))}>
        {state === "done" ? <Check aria-hidden className="text-ok size-4" /> : <CopyIcon aria-hidden className="size-4" />}
      </IconButton>
      <span role="status" className="sr-only">{state === "idle" ? "" : label}</span>
    </>
  );
}

/** Text to paste elsewhere, with its button. */
export function Code({ text, what, className }: { text: string; what: string; className?: string }) {
  return (
    <div className={cx("bg-sunken border-line flex items-start gap-2 rounded-md border p-2", className)}>
      {/* A region that scrolls must be reachable by keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0} role="region" aria-label={what} className="min-w-0 flex-1 overflow-x-auto font-mono text-[0.93em] leading-relaxed whitespace-pre">{text}</pre>
      <Copy text={text} what={what} />
    </div>
  );
}
