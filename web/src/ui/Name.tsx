import { cx } from "./class";

/** What somebody has called something: text of theirs, whose direction does not reach what stands beside it. */
export function Name({ children, className }: { children: string; className?: string }) {
  return <bdi className={cx("name", className)}>{children}</bdi>;
}
