import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { request } from "../../api/client";
import { taskPart } from "../../api/queries";
import type { ElementSummary, Grid, Page, TaskDetail } from "../../api/types";
import { gridModel } from "../../lib/grid";
import { plural } from "../../lib/units";
import { Button, Card, ErrorBox, Select, Skeleton, StatusBadge, Table } from "../../ui";
import { Attempts } from "./Attempts";
import { ElementChoice } from "./ElementChoice";
import { ElementGrid } from "./ElementGrid";

type Props = { detail: TaskDetail; element: number | null; onElement: (index: number) => void; onGo: (tab: string, index?: number) => void };

function OneElement({ id, index, onGo }: { id: string; index: number; onGo: Props["onGo"] }) {
  const one = useQuery(taskPart<TaskDetail>(id, `elements/${index}`));
  return (
    <Card title={`Element ${index}`} aside={<div className="flex gap-2"><Button small onClick={() => onGo("log", index)}>Log</Button><Button small onClick={() => onGo("outputs", index)}>Outputs</Button></div>} flush>
      {one.isPending ? <div className="px-4 pb-4"><Skeleton /></div> : null}
      {one.isError ? <div className="px-4 pb-4"><ErrorBox error={one.error} what="The element could not be read." onRetry={() => void one.refetch()} /></div> : null}
      {one.data ? (
        <div className="flex flex-col gap-3 px-4 pb-4">
          {one.data.error_message ? <p className="text-bad">{one.data.error_message}</p> : null}
          <Attempts attempts={one.data.attempts} />
        </div>
      ) : null}
    </Card>
  );
}

const STATES = ["", "waiting", "live", "completed", "failed", "cancelled"];

/** The same elements as rows, for those who would rather read than look. */
function ElementTable({ id, onElement }: { id: string; onElement: Props["onElement"] }) {
  const [status, setStatus] = useState("");
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const cursor = cursors.at(-1) ?? null;
  const list = useQuery({
    queryKey: ["task", id, "elements", { status, cursor }],
    queryFn: ({ signal }) => request<Page<ElementSummary>>(`/tasks/${encodeURIComponent(id)}/elements`, { query: { status, cursor, limit: 100 }, signal }),
    placeholderData: (before) => before,
  });
  return (
    <Card title="Elements by index" flush aside={<Select label="State" hideLabel value={status} onValue={(value) => { setStatus(value); setCursors([null]); }} options={STATES.map((value) => ({ value, text: value || "all states" }))} />}>
      {list.isPending ? <div className="px-4 pb-4"><Skeleton /></div> : null}
      {list.isError ? <div className="px-4 pb-4"><ErrorBox error={list.error} what="The elements could not be read." onRetry={() => void list.refetch()} /></div> : null}
      {list.data ? (
        <Table
          caption="elements by index"
          rowKey={(row) => String(row.index)}
          rows={list.data.items}
          onOpen={(row) => onElement(row.index)}
          empty={<p className="text-ink-2 px-4 pb-4">No element is in this state.</p>}
          paging={{ page: cursors.length - 1, hasNext: list.data.next_cursor !== null, onPrevious: () => setCursors((before) => before.slice(0, -1)), onNext: () => setCursors((before) => [...before, list.data.next_cursor]) }}
          columns={[
            { id: "index", head: "Element", numeric: true, cell: (row) => <button type="button" className="link" onClick={() => onElement(row.index)}>{row.index}</button>, className: "w-20" },
            { id: "status", head: "State", cell: (row) => <StatusBadge status={row.status} /> },
            { id: "attempts", head: "Attempts", numeric: true, cell: (row) => row.attempts },
            { id: "exit", head: "Exit code", numeric: true, cell: (row) => row.exit_code ?? "\u2013" },
            { id: "error", head: "Error", cell: (row) => row.error_message || "\u2013", wideOnly: true },
          ]}
        />
      ) : null}
    </Card>
  );
}

export function Elements({ detail, element, onElement, onGo }: Props) {
  const id = detail.task.task_id;
  const [table, setTable] = useState(false);
  const grid = useQuery(taskPart<Grid>(id, "grid"));
  const model = useMemo(() => (grid.data ? gridModel(grid.data.indices, grid.data.states) : null), [grid.data]);
  return (
    <div className="flex min-w-0 flex-col gap-4">
      <Card
        title={model ? plural(model.indices.size, "element") : "Elements"}
        aside={<div className="flex flex-wrap items-start gap-2"><ElementChoice array={detail.task.array} element={element} onElement={onElement} /><Button onClick={() => setTable(!table)} aria-pressed={table}>{table ? "As a picture" : "As a table"}</Button></div>}
      >
        {grid.isError ? <ErrorBox error={grid.error} what="The elements could not be read." onRetry={() => void grid.refetch()} /> : null}
        {grid.isPending ? <Skeleton lines={6} /> : null}
        {model && !table ? <ElementGrid model={model} chosen={element} onChoose={onElement} /> : null}
        {table ? <p className="text-ink-2">The table is below.</p> : null}
      </Card>
      {element === null ? null : <OneElement id={id} index={element} onGo={onGo} />}
      {table ? <ElementTable id={id} onElement={onElement} /> : null}
    </div>
  );
}
