import { cpt } from "../lib/money";
import { useNow } from "../lib/now";
import { bytes, duration, moment, timeAgo } from "../lib/units";
import { cx } from "./class";

type MoneyProps = { micro: string | bigint; sign?: boolean; /** In a column: all six decimals, so that the points stand below each other. */ column?: boolean; className?: string };

/** An exact amount of CPT from micro-CPT. */
export function Money({ micro, sign = false, column = false, className }: MoneyProps) {
  const text = cpt(micro, { sign });
  const zeros = column ? "0".repeat(6 - (text.length - text.indexOf(".") - 1)) : "";
  return (
    <span className={cx("whitespace-nowrap", className)}>
      {text}{zeros === "" ? null : <span aria-hidden className="text-ink-3">{zeros}</span>}<span className="text-ink-3"> CPT</span>
    </span>
  );
}

export function Bytes({ count }: { count: number }) {
  return <span className="whitespace-nowrap" title={`${count} B`}>{bytes(count)}</span>;
}

export function Duration({ ms }: { ms: number }) {
  return <span className="whitespace-nowrap">{duration(ms)}</span>;
}

/** Time since a moment, counting. */
export function Since({ atMs }: { atMs: number }) {
  const now = useNow();
  return <Duration ms={Math.max(0, Math.floor((now - atMs) / 1000) * 1000)} />;
}

/** When it was, relative; the exact time as a title. */
export function TimeAgo({ atMs }: { atMs: number }) {
  const now = useNow();
  return <time dateTime={new Date(atMs).toISOString()} title={moment(atMs)} className="whitespace-nowrap">{timeAgo(atMs, now)}</time>;
}

/** When it was, exactly. */
export function Moment({ atMs }: { atMs: number }) {
  return <time dateTime={new Date(atMs).toISOString()} className="whitespace-nowrap">{moment(atMs)}</time>;
}
