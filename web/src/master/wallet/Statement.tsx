import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { request } from "../../api/client";
import type { Page, StatementLine } from "../../api/types";
import { Card, EmptyState, ErrorBox, Field, Moment, Money, Name, Select, Skeleton, Table } from "../../ui";

const KINDS = ["sign_up", "transfer", "hold", "accrual", "return", "settlement", "release", "expiry", "reward", "vest", "tip", "collect"];
const ACCOUNTS = ["available", "promo", "held", "pending", "owner", "reward"];
const options = (first: string, values: readonly string[]) => [{ value: "", text: first }, ...values.map((value) => ({ value, text: value.replace("_", " ") }))];

/** The first moment of a day as it was typed; undefined where none was. */
function day(typed: string, later = 0): number | undefined {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(typed);
  return parts ? new Date(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3]) + later).getTime() : undefined;
}

function About({ line }: { line: StatementLine }) {
  return (
    <div className="min-w-32">
      <span className="font-medium">{line.kind.replace("_", " ")}</span>{" "}
      <span className="text-ink-2">
        {line.task_id ? <Link className="link" to={`/tasks/${line.task_id}?tab=price`}>{line.task_id}</Link> : null}{" "}
        {line.counterparty ? <>{BigInt(line.amount_micro) < 0n ? "to" : "from"} <Name>{line.counterparty}</Name></> : null}
      </span>
      {line.note ? <Name className="text-ink-3 block">{line.note}</Name> : null}
    </div>
  );
}

/** Every movement on one's accounts, newest first, with the balance after it. */
export function Statement() {
  const [filter, setFilter] = useState({ kind: "", account: "", from: "", to: "" });
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const cursor = cursors.at(-1) ?? null;
  const set = (part: Partial<typeof filter>) => {
    setFilter((before) => ({ ...before, ...part }));
    setCursors([null]);
  };
  const list = useQuery({
    queryKey: ["statement", "list", filter, cursor],
    queryFn: ({ signal }) => request<Page<StatementLine>>("/wallet/statement", { query: { kind: filter.kind, account: filter.account, from: day(filter.from), to: day(filter.to, 1), cursor, limit: 50 }, signal }),
    placeholderData: (before) => before,
  });
  return (
    <Card title="Statement" flush>
      <div className="grid grid-cols-2 gap-2 px-4 pb-3 md:grid-cols-4">
        <Select label="Kind" value={filter.kind} onValue={(kind) => set({ kind })} options={options("all kinds", KINDS)} />
        <Select label="Account" value={filter.account} onValue={(account) => set({ account })} options={options("all accounts", ACCOUNTS)} />
        <Field label="From" type="date" value={filter.from} onChange={(event) => set({ from: event.target.value })} />
        <Field label="To" type="date" value={filter.to} onChange={(event) => set({ to: event.target.value })} />
      </div>
      {list.isPending ? <div className="px-4 pb-4"><Skeleton lines={6} /></div> : null}
      {list.isError ? <div className="px-4 pb-4"><ErrorBox error={list.error} what="The statement could not be read." onRetry={() => void list.refetch()} /></div> : null}
      {list.data ? (
        <Table
          caption="statement, newest first"
          rowKey={(row) => `${row.entry} ${row.account} ${row.attempt_id}`}
          rows={list.data.items}
          empty={<EmptyState title="No entries">Nothing has moved in that time.</EmptyState>}
          paging={{ page: cursors.length - 1, hasNext: list.data.next_cursor !== null, busy: list.isFetching, onPrevious: () => setCursors((before) => before.slice(0, -1)), onNext: () => setCursors((before) => [...before, list.data.next_cursor]) }}
          columns={[
            { id: "at", head: "When", cell: (row) => <Moment atMs={row.at_unix_ms} />, wideOnly: true },
            { id: "about", head: "What", cell: (row) => <About line={row} /> },
            { id: "account", head: "Account", cell: (row) => row.account, wideOnly: true },
            { id: "amount", head: "Amount", numeric: true, cell: (row) => <Money micro={row.amount_micro} sign column className={BigInt(row.amount_micro) > 0n ? "text-ok" : ""} /> },
            { id: "balance", head: "Afterwards", numeric: true, cell: (row) => <Money micro={row.balance_micro} column /> },
          ]}
        />
      ) : null}
    </Card>
  );
}
