import { useQuery } from "@tanstack/react-query";
import { taskPart } from "../../api/queries";
import type { Failures as Told } from "../../api/types";
import { parseRanges } from "../../lib/indices";
import { count, plural } from "../../lib/units";
import { Card, EmptyState, ErrorBox, Skeleton, Table } from "../../ui";

function firstOf(ranges: string): number | null {
  try {
    return parseRanges(ranges)[0]?.[0] ?? null;
  } catch {
    return null;
  }
}

/** The table has at most so many groups, and the pool looks at so many elements. */
const MOST_GROUPS = 100;
const MOST_LOOKED_AT = 1_000_000;

/** What the groups leave out, in words; null where they tell all. */
export function leftOut({ failed, ungrouped, cut }: Pick<Told, "failed" | "ungrouped" | "cut">): string | null {
  const words = [
    ungrouped > 0 ? `${count(ungrouped)} of ${plural(failed, "failed element")} ${ungrouped === 1 ? "is" : "are"} in no group that is shown: these are the ${MOST_GROUPS} most frequent at most.` : "",
    cut ? `Only the first ${count(MOST_LOOKED_AT)} elements were looked at; what failed among the others is not counted here.` : "",
  ].filter(Boolean);
  return words.length > 0 ? words.join(" ") : null;
}

/** Those together that failed alike: usually a handful of reasons, however many elements. */
export function Failures({ id, isArray, onElement }: { id: string; isArray: boolean; onElement: (index: number) => void }) {
  const told = useQuery(taskPart<Told>(id, "failures"));
  if (told.isError) return <ErrorBox error={told.error} what="The failures could not be read." onRetry={() => void told.refetch()} />;
  if (!told.data) return <Skeleton />;
  const missing = leftOut(told.data);
  return (
    <Card title="Failures that are alike" flush>
      <Table
        caption="failures by what they have in common, the most frequent first"
        rowKey={(row) => `${row.signature} ${row.exit_code}`}
        rows={told.data.groups}
        empty={<EmptyState title={told.data.failed > 0 ? "Nothing that failed could be grouped" : "Nothing failed"} />}
        columns={[
          { id: "count", head: "Elements", numeric: true, cell: (row) => count(row.count), className: "w-24 font-semibold" },
          { id: "signature", head: "What they have in common", cell: (row) => <><span>{row.signature}</span>{row.error_message !== row.signature ? <span className="text-ink-3 block">for one: {row.error_message}</span> : null}{row.last_line ? <code className="bg-sunken mt-1 block rounded px-1.5 py-0.5 font-mono text-[0.93em] whitespace-pre-wrap">{row.last_line}</code> : null}</> },
          { id: "exit", head: "Exit code", numeric: true, cell: (row) => row.exit_code ?? "\u2013" },
          ...(isArray ? [{
            id: "examples", head: "Which", wideOnly: true,
            cell: (row: Told["groups"][number]) => {
              const first = firstOf(row.example_elements);
              return first === null ? row.example_elements : <><button type="button" className="link" onClick={() => onElement(first)}>{first}</button><span className="text-ink-3 block max-w-60 truncate" title={row.example_elements}>{row.example_elements}</span></>;
            },
          }] : []),
        ]}
      />
      {missing === null ? null : <p role="note" className="text-ink-2 border-line border-t px-4 py-2">{missing}</p>}
    </Card>
  );
}
