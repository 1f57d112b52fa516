import { cx } from "../ui";

const COLORS: Record<string, string> = { open: "text-ok", finishing: "text-run", paused: "text-wait" };

/** The state as a sign: a cell that beats while something is computed. */
export function Pulse({ state, busy }: { state: string; busy: boolean }) {
  const color = COLORS[state] ?? "text-off";
  return (
    <svg aria-hidden viewBox="0 0 48 48" className={cx("size-12 shrink-0", color)}>
      <path fill="currentColor" opacity="0.16" d="M24 2 43 13v22L24 46 5 35V13z" className={cx(busy && state === "open" && "pulse")} />
      {state === "paused" ? (
        <path fill="currentColor" d="M18 16h4v16h-4zm8 0h4v16h-4z" />
      ) : state === "finishing" ? (
        <path fill="currentColor" d="M16 15h4v18h-4zm5 0h13l-3 5 3 5H21z" />
      ) : (
        <path fill="currentColor" d="M24 13l9.5 5.5v11L24 35l-9.5-5.5v-11z" />
      )}
    </svg>
  );
}
