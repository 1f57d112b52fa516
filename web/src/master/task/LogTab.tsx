import { ArrowDownToLine, ChevronDown, ChevronUp, Download } from "lucide-react";
import { type KeyboardEvent, useCallback, useEffect, useMemo, useState } from "react";
import { address } from "../../api/client";
import { LogFollower, type LogState } from "../../api/logs";
import type { TaskDetail } from "../../api/types";
import { LogBuffer } from "../../lib/log";
import { count, plural } from "../../lib/units";
import { Badge, Button, Card, EmptyState, ErrorBox, Field, IconButton } from "../../ui";
import { ElementChoice } from "./ElementChoice";
import { LogLines } from "./LogLines";

const WORDS: Record<LogState, [tone: "ok" | "run" | "wait" | "bad" | "off", text: string]> = {
  connecting: ["wait", "connecting"],
  live: ["run", "live"],
  ended: ["off", "ended"],
  lost: ["bad", "connection lost, trying again"],
  refused: ["off", "not to be had"],
};

/** The buffer of one log, and a number that grows with every change of it. */
function useLog(id: string, element: number | null) {
  const [version, setVersion] = useState(0);
  const [state, setState] = useState<LogState>("connecting");
  const [attempt, setAttempt] = useState(0);
  const [refused, setRefused] = useState<unknown>(null);
  const [tries, setTries] = useState(0);
  const buffer = useMemo(() => new LogBuffer(), []);
  useEffect(() => {
    buffer.clear();
    setState("connecting");
    setRefused(null);
    const follower = LogFollower.of(id, element, {
      buffer,
      onChange: () => {
        setVersion((before) => before + 1);
        setAttempt(follower.attempt);
      },
      onState: setState,
      onRefused: setRefused,
    });
    follower.start();
    return () => follower.stop();
  }, [id, element, buffer, tries]);
  const again = () => setTries((before) => before + 1);
  return { buffer, version, state, attempt, refused, again };
}

function Downloads({ id, element }: { id: string; element: number | null }) {
  return (
    <>
      {(["stdout", "stderr"] as const).map((stream) => (
        <a key={stream} className="hover:bg-hover text-ink-2 inline-flex min-h-7 items-center gap-1.5 rounded-md px-2" href={address(`/tasks/${encodeURIComponent(id)}/logs`, { stream, element })} download={`${id}${element === null ? "" : `-${element}`}.${stream}.txt`}>
          <Download aria-hidden className="size-4" />{stream === "stdout" ? "Output" : "Errors"}
        </a>
      ))}
    </>
  );
}

function LogView({ id, element }: { id: string; element: number | null }) {
  const { buffer, version, state, attempt, refused, again } = useLog(id, element);
  const [follow, setFollow] = useState(true);
  const [words, setWords] = useState("");
  const [hit, setHit] = useState(0);
  // The buffer changes in place: its version stands for it.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const hits = useMemo(() => buffer.find(words), [buffer, words, version]);
  const at = hits.length === 0 ? -1 : Math.min(hit, hits.length - 1);
  const go = (step: number) => {
    if (hits.length === 0) return;
    setFollow(false);
    setHit((Math.max(at, 0) + step + hits.length) % hits.length);
  };
  const press = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    go(event.shiftKey ? -1 : 1);
  };
  const onScrolled = useCallback((bottom: boolean) => setFollow(bottom), []);
  const [tone, text] = WORDS[state];
  return (
    <div className="flex min-w-0 flex-col">
      <div className="border-line flex flex-wrap items-center gap-2 border-b px-4 pb-2">
        <Badge tone={tone} live={state === "live"}>{text}</Badge>
        <span className="text-ink-3">{count(buffer.length)} lines{attempt > 1 ? `, attempt ${attempt}` : ""}</span>
        <div className="ml-auto flex flex-wrap items-center gap-1">
          <div className="w-44"><Field label="Search in the log" hideLabel type="search" placeholder="Search ( / )" maxLength={200} value={words} onKeyDown={press} onChange={(event) => { setWords(event.target.value); setHit(0); }} /></div>
          <span role="status" className="text-ink-2 min-w-14">{words === "" ? "" : hits.length === 0 ? "none" : `${at + 1} of ${count(hits.length)}`}</span>
          <IconButton small label="Previous match" disabled={hits.length === 0} onClick={() => go(-1)}><ChevronUp aria-hidden className="size-4" /></IconButton>
          <IconButton small label="Next match" disabled={hits.length === 0} onClick={() => go(1)}><ChevronDown aria-hidden className="size-4" /></IconButton>
          <Button small aria-pressed={follow} look={follow ? "plain" : "quiet"} icon={<ArrowDownToLine aria-hidden className="size-4" />} onClick={() => setFollow(!follow)}>Follow</Button>
          <Downloads id={id} element={element} />
        </div>
      </div>
      {buffer.dropped > 0 ? <p className="text-ink-3 bg-sunken px-4 py-1">{plural(buffer.dropped, "earlier line")} left this page; the download has all.</p> : null}
      <LogLines buffer={buffer} version={version} follow={follow} onScrolled={onScrolled} words={words} shown={follow ? undefined : hits[at]} />
      {refused === null ? null : <div className="p-4"><ErrorBox error={refused} what={buffer.length === 0 ? "There is no log to show." : "The log does not go on."} onRetry={again} /></div>}
      {buffer.length === 0 && refused === null ? <p className="text-ink-2 px-4 py-6 text-center">{state === "ended" ? "It wrote nothing." : "Nothing was written yet."}</p> : null}
    </div>
  );
}

type Props = { detail: TaskDetail; element: number | null; onElement: (index: number) => void };

/** What one element writes, while it writes it. */
export function LogTab({ detail, element, onElement }: Props) {
  const { task } = detail;
  const isArray = task.array !== "";
  return (
    <Card title={isArray && element !== null ? `Log of element ${element}` : "Log"} aside={isArray ? <ElementChoice key={element} array={task.array} element={element} onElement={onElement} /> : null} flush>
      {element === null
        ? <EmptyState title="Which element?">Type the index of one above, or choose one among the elements.</EmptyState>
        : <LogView key={element} id={task.task_id} element={isArray ? element : null} />}
    </Card>
  );
}
