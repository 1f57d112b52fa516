import { CircleAlert, CircleCheck, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { cx } from "./class";

const LOOKS = {
  ok: { frame: "border-ok bg-ok-soft", mark: "text-ok", Icon: CircleCheck },
  wait: { frame: "border-wait bg-wait-soft", mark: "text-wait", Icon: TriangleAlert },
  bad: { frame: "border-bad bg-bad-soft", mark: "text-bad", Icon: CircleAlert },
} as const;

type Props = { tone: keyof typeof LOOKS; title: string; children?: ReactNode; aside?: ReactNode };

/** One judgement with its reason: what somebody reads first. */
export function Verdict({ tone, title, children, aside }: Props) {
  const { frame, mark, Icon } = LOOKS[tone];
  return (
    <div className={cx("flex flex-wrap items-start gap-x-3 gap-y-2 rounded-lg border px-4 py-3", frame)}>
      <Icon aria-hidden className={cx("mt-0.5 size-5 shrink-0", mark)} />
      <div className="min-w-0 flex-1 basis-56">
        <p className="font-semibold">{title}</p>
        {children ? <div className="text-ink-2">{children}</div> : null}
      </div>
      {aside}
    </div>
  );
}
