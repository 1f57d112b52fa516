import type { ReactNode } from "react";
import { cx } from "./class";

export type Tone = "ok" | "run" | "wait" | "bad" | "off";

const TONES: Record<Tone, string> = {
  ok: "bg-ok-soft text-ok",
  run: "bg-run-soft text-run",
  wait: "bg-wait-soft text-wait",
  bad: "bg-bad-soft text-bad",
  off: "bg-off-soft text-off",
};

export function Badge({ tone, live = false, children }: { tone: Tone; live?: boolean; children: ReactNode }) {
  return (
    <span className={cx("inline-flex items-center gap-1.5 rounded px-1.5 py-px text-[0.9em] font-medium whitespace-nowrap", TONES[tone])}>
      <span aria-hidden className={cx("size-1.5 rounded-full bg-current", live && "pulse")} />
      {children}
    </span>
  );
}

const STATUS: Record<string, Tone> = {
  pending: "wait", waiting: "wait", running: "run", live: "run", completed: "ok", failed: "bad", cancelled: "off",
  online: "ok", draining: "wait", silent: "wait", offline: "off", away: "wait", banned: "bad", cordoned: "wait",
  assigned: "run", compared: "run", ended: "off", fault: "wait",
};

/** The state of a task, element, attempt or node. A state that this page does not know yet is shown as it is. */
export function StatusBadge({ status }: { status: string }) {
  const tone = STATUS[status] ?? "off";
  return <Badge tone={tone} live={status === "running" || status === "live"}>{status}</Badge>;
}
