import { CircleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { explainError } from "../api/problem";
import { Button } from "./Button";
import { cx } from "./class";

/** Nothing there: what would be, and how to get it. */
export function EmptyState({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-10 text-center">
      <p className="font-medium">{title}</p>
      {children ? <div className="text-ink-2 max-w-prose">{children}</div> : null}
      {action}
    </div>
  );
}

/** What failed, why, and what to do; with its stable code. */
export function ErrorBox({ error, what, onRetry, className }: { error: unknown; what: string; onRetry?: () => void; className?: string }) {
  const { why, fix, code } = explainError(error);
  return (
    <div role="alert" className={cx("border-bad bg-bad-soft flex items-start gap-2.5 rounded-lg border p-3", className)}>
      <CircleAlert aria-hidden className="text-bad mt-0.5 size-4 shrink-0" />
      <div className="min-w-0 flex-1">
        <p className="font-medium">{what}</p>
        <p className="text-ink-2">{why}</p>
        {fix ? <p className="text-ink-2">{fix}</p> : null}
        {code ? <p className="text-ink-3 font-mono text-[0.9em]">{code}</p> : null}
      </div>
      {onRetry ? <Button small onClick={onRetry}>Try again</Button> : null}
    </div>
  );
}

/** Grey lines where something is on its way. */
export function Skeleton({ lines = 3, label = "Loading" }: { lines?: number; label?: string }) {
  return (
    <div role="status" aria-label={label} className="flex flex-col gap-2 p-1">
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} className="bg-sunken pulse block h-4 rounded" style={{ width: `${90 - (line % 3) * 18}%` }} />
      ))}
    </div>
  );
}
