import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { taskPart } from "../../api/queries";
import type { Timeline as Told, TimelineBar } from "../../api/types";
import { useNow } from "../../lib/now";
import { clock, duration, plural } from "../../lib/units";
import { Button, Card, EmptyState, ErrorBox, Moment, Skeleton, StatusBadge, Table } from "../../ui";
import { placeBars } from "./lanes";

const LIMIT = 2000;
const COLORS: Record<string, string> = { running: "bg-run", completed: "bg-done", failed: "bg-bad", fault: "bg-wait", cancelled: "bg-off" };
const MARKS = [0, 0.25, 0.5, 0.75, 1];

function words(bar: TimelineBar, isArray: boolean, now: number): string {
  return `${isArray ? `element ${bar.element}, ` : ""}attempt ${bar.attempt} on ${bar.node}: ${bar.outcome}, ${duration((bar.to_unix_ms || now) - bar.from_unix_ms)} from ${clock(bar.from_unix_ms)}`;
}

function Gantt({ bars, isArray }: { bars: readonly TimelineBar[]; isArray: boolean }) {
  const now = useNow();
  const { lanes, from, to, hidden } = placeBars(bars, now);
  const span = Math.max(1, to - from);
  const outcomes = Object.keys(COLORS).map((outcome) => ({ outcome, many: bars.filter((bar) => bar.outcome === outcome).length })).filter((one) => one.many > 0);
  const summary = `${plural(bars.length, "attempt")} on ${plural(new Set(bars.map((bar) => bar.node)).size, "machine")} in ${duration(span)}: ${outcomes.map((one) => `${one.many} ${one.outcome}`).join(", ")}.`;
  return (
    <figure className="flex flex-col gap-3">
      <ul className="text-ink-2 flex flex-wrap gap-x-4">
        {outcomes.map((one) => <li key={one.outcome} className="inline-flex items-center gap-1.5"><span aria-hidden className={`size-2.5 rounded-sm ${COLORS[one.outcome]}`} />{one.many} {one.outcome}</li>)}
      </ul>
      <div role="img" aria-label={summary} className="grid grid-cols-[minmax(4rem,8rem)_1fr] gap-x-3">
        <span />
        <span className="text-ink-3 flex justify-between text-[0.86em]">{MARKS.map((mark) => <span key={mark}>{clock(from + span * mark)}</span>)}</span>
        {lanes.map((lane, at) => (
          <div key={`${lane.node}-${at}`} className="contents">
            <span className="truncate py-0.5 text-right leading-4" title={lane.node}>{lanes[at - 1]?.node === lane.node ? "" : lane.node}</span>
            <span className="border-line relative block h-5 border-b">
              {lane.bars.map((bar) => (
                <span
                  key={`${bar.element}-${bar.attempt}`}
                  title={words(bar, isArray, now)}
                  className={`absolute top-0.5 h-3.5 rounded-[2px] ${COLORS[bar.outcome] ?? "bg-off"} ${bar.outcome === "running" ? "pulse" : ""}`}
                  style={{ left: `${((bar.from_unix_ms - from) / span) * 100}%`, width: `max(2px, ${(((bar.to_unix_ms || now) - bar.from_unix_ms) / span) * 100}% - 1px)` }}
                />
              ))}
            </span>
          </div>
        ))}
      </div>
      <figcaption className="text-ink-3">{summary}{hidden > 0 ? ` ${plural(hidden, "row")} more are in the table.` : ""}</figcaption>
    </figure>
  );
}

function BarTable({ bars, isArray }: { bars: readonly TimelineBar[]; isArray: boolean }) {
  const now = useNow();
  const [page, setPage] = useState(0);
  const size = 100;
  return (
    <Table
      caption="attempts by their beginnings"
      rowKey={(row) => `${row.node} ${row.element} ${row.attempt}`}
      rows={bars.slice(page * size, (page + 1) * size)}
      paging={{ page, hasNext: (page + 1) * size < bars.length, onPrevious: () => setPage(page - 1), onNext: () => setPage(page + 1) }}
      columns={[
        { id: "node", head: "Machine", cell: (row) => row.node },
        ...(isArray ? [{ id: "element", head: "Element", numeric: true, cell: (row: TimelineBar) => row.element }] : []),
        { id: "attempt", head: "Attempt", numeric: true, cell: (row) => row.attempt },
        { id: "outcome", head: "Outcome", cell: (row) => <StatusBadge status={row.outcome} /> },
        { id: "from", head: "From", cell: (row) => <Moment atMs={row.from_unix_ms} />, wideOnly: true },
        { id: "time", head: "Time", numeric: true, cell: (row) => duration((row.to_unix_ms || now) - row.from_unix_ms) },
      ]}
    />
  );
}

/** What ran where and when. */
export function Timeline({ id, isArray }: { id: string; isArray: boolean }) {
  const told = useQuery(taskPart<Told>(id, "timeline", { limit: LIMIT }));
  const [table, setTable] = useState(false);
  if (told.isError) return <ErrorBox error={told.error} what="The timeline could not be read." onRetry={() => void told.refetch()} />;
  if (!told.data) return <Skeleton lines={6} />;
  const { bars, cut } = told.data;
  return (
    <Card title="By machine" flush={table} aside={bars.length > 0 ? <Button small aria-pressed={table} onClick={() => setTable(!table)}>{table ? "As a picture" : "As a table"}</Button> : null}>
      {bars.length === 0 ? <EmptyState title="Nothing was handed out yet" /> : table ? <BarTable bars={bars} isArray={isArray} /> : <Gantt bars={bars} isArray={isArray} />}
      {cut ? <p className="text-ink-3 mt-2 px-1">These are the newest {plural(bars.length, "attempt")}; earlier ones are left out.</p> : null}
    </Card>
  );
}
