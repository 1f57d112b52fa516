import { useQueryClient } from "@tanstack/react-query";
import { CirclePause, CirclePlay, Flag, OctagonX } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useNow } from "../lib/now";
import { moment, timeAgo } from "../lib/units";
import { Button, Confirm, cx, ErrorBox, Select, useToast } from "../ui";
import type { Overview } from "./model/types";
import { tell } from "./queries";

type Part = "machine" | "gpu";
type Verb = "start" | "finish" | "pause";

const VERBS: { verb: Verb; text: string; means: string; icon: ReactNode }[] = [
  { verb: "start", text: "Start", means: "Work, where your rules allow it", icon: <CirclePlay aria-hidden className="size-5" /> },
  { verb: "finish", text: "Finish", means: "What runs goes on; nothing new", icon: <Flag aria-hidden className="size-5" /> },
  { verb: "pause", text: "Pause", means: "Stand still at once", icon: <CirclePause aria-hidden className="size-5" /> },
];

const HOUR = 3_600_000;
const SPANS = [
  { value: "", text: "until I press Start" },
  { value: String(HOUR), text: "1 hour" },
  { value: String(4 * HOUR), text: "4 hours" },
  { value: String(12 * HOUR), text: "12 hours" },
  { value: String(24 * HOUR), text: "a day" },
];

/** Start, finish and pause, for the machine or its graphics processors. */
export function Controls({ overview, part }: { overview: Overview; part: Part }) {
  const client = useQueryClient();
  const [span, setSpan] = useState("");
  const [busy, setBusy] = useState<Verb | null>(null);
  const [error, setError] = useState<unknown>(null);
  const chosen = part === "machine" ? overview.mode : modeOfGpu(overview);
  const send = async (verb: Verb) => {
    setBusy(verb);
    setError(null);
    try {
      await tell(client, verb, { part, ...(verb !== "start" && span !== "" ? { for_ms: Number(span) } : {}) });
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(null);
    }
  };
  return (
    <div className="flex flex-col gap-2">
      <div className="flex flex-wrap items-end gap-3">
        <div role="group" aria-label={part === "machine" ? "This machine" : "Graphics processors"} className="flex flex-wrap gap-2">
          {VERBS.map(({ verb, text, means, icon }) => {
            const isOn = chosen === verb;
            return (
              <Button key={verb} aria-pressed={isOn} busy={busy === verb} title={means} icon={icon} onClick={() => void send(verb)} className={cx("min-h-11 px-4 font-medium", isOn && "!bg-accent !text-on-accent !border-transparent")}>
                {text}
              </Button>
            );
          })}
        </div>
        <Select label="Finish or pause for" options={SPANS} value={span} onValue={setSpan} className="w-56" />
      </div>
      {part === "machine" ? <Until overview={overview} /> : null}
      {error === null ? null : <ErrorBox error={error} what="The worker did not do that." />}
    </div>
  );
}

/** The worker tells why graphics processors stand still, not what was chosen. */
function modeOfGpu(overview: Overview): string {
  switch (overview.gpu_state) {
    case "paused":
      return "pause";
    case "finishing":
      return "finish";
    default:
      return "start";
  }
}

function Until({ overview }: { overview: Overview }) {
  const now = useNow();
  const until = overview.mode_until_unix_ms;
  if (until === null || overview.mode === "start") return null;
  return <p className="text-ink-2">It starts again {timeAgo(until, now)}, at {moment(until)}.</p>;
}

/** Ends everything at once. */
export function StopNow({ running }: { running: number }) {
  const client = useQueryClient();
  const say = useToast();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button look="danger" icon={<OctagonX aria-hidden className="size-4" />} onClick={() => setOpen(true)}>Stop everything now</Button>
      <Confirm
        open={open}
        title="Stop everything now?"
        action="Stop everything now"
        dangerous
        onClose={() => setOpen(false)}
        onConfirm={async () => {
          await tell(client, "stop-now");
          say("ok", "Everything is stopped.", "The machine stays paused until you press Start.");
        }}
      >
        <p>
          {running === 0 ? "Nothing runs now." : running === 1 ? "1 task ends at once." : `${running} tasks end at once.`} They are tried elsewhere, unpaid, and it costs you neither money nor standing. The machine is paused then.
        </p>
      </Confirm>
    </>
  );
}
