import { useQuery } from "@tanstack/react-query";
import { taskPart } from "../../api/queries";
import type { Failures as Told } from "../../api/types";
import { parseRanges } from "../../lib/indices";
import { count } from "../../lib/units";
import { Card, EmptyState, ErrorBox, Skeleton, Table } from "../../ui";

function firstOf(ranges: string): number | null {
  try {
    return parseRanges(ranges)[0]?.[0] ?? null;
  } catch {
    return null;
  }
}

/** Those together that failed alike: usually a handful of reasons, however many elements. */
export function Failures({ id, isArray, onElement }: { id: string; isArray: boolean; onElement: (index: number) => void }) {
  const told = useQuery(taskPart<Told>(id, "failures"));
  if (told.isError) return <ErrorBox error={told.error} what="The failures could not be read." onRetry={() => void told.refetch()} />;
  if (!told.data) return <Skeleton />;
  return (
    <Card title="Failures that are alike" flush>
      <Table
        caption="failures by what they have in common, the most frequent first"
        rowKey={(row) => `${row.signature} ${row.exit_code}`}
        rows={told.data.groups}
        empty={<EmptyState title="Nothing failed" />}
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
    </Card>
  );
}
