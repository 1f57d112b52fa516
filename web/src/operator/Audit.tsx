import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { PageHeader } from "../app/PageHeader";
import { count } from "../lib/units";
import { Badge, Button, Dialog, EmptyState, ErrorBox, Field, Money, Moment, Name, Select, Skeleton, Table, type Column } from "../ui";
import { Copy } from "../ui/Copy";
import { accountWords, ENTRY_KINDS, moved, shortHash, sumOf } from "./model/ledger";
import type { JournalEntry, Posting } from "./model/types";
import { journalQuery } from "./queries";

const KINDS = [{ value: "", text: "All kinds" }, ...ENTRY_KINDS.map((kind) => ({ value: kind, text: kind.replace("_", " ") }))];

/** The journal, entry by entry. */
export default function Audit() {
  const [kind, setKind] = useState("");
  const [typed, setTyped] = useState("");
  const [username, setUsername] = useState("");
  // The cursors of the pages up to this one; the first has none.
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const [open, setOpen] = useState<JournalEntry | null>(null);
  const journal = useQuery(journalQuery({ kind, username, cursor: cursors.at(-1) ?? null }));
  const next = journal.data?.next_cursor ?? null;
  const first = () => setCursors([null]);
  return (
    <>
      <PageHeader tab="Audit" title="Audit" lead="Every movement of money, newest first; each entry is chained to the one before by its hash" />
      {journal.error ? <ErrorBox error={journal.error} what="The journal could not be read." onRetry={() => void journal.refetch()} /> : null}
      <section aria-label="Journal" className="card min-w-0">
        <form
          className="flex flex-wrap items-end gap-3 p-4 pb-2"
          onSubmit={(event) => {
            event.preventDefault();
            setUsername(typed.trim());
            first();
          }}
        >
          <Select label="Kind" options={KINDS} value={kind} onValue={(value) => { setKind(value); first(); }} className="w-48 max-sm:w-full" />
          <Field label="Only of this user" type="search" autoCapitalize="none" spellCheck={false} maxLength={32} value={typed} onChange={(event) => setTyped(event.target.value)} className="w-56 max-sm:w-full" />
          <Button type="submit">Show</Button>
          <Button look="quiet" busy={journal.isFetching} onClick={() => { first(); void journal.refetch(); }}>To the newest</Button>
        </form>
        {journal.data ? (
          <Table
            caption="Journal entries"
            columns={columns(setOpen)}
            rows={journal.data.items}
            rowKey={(entry) => String(entry.entry)}
            onOpen={setOpen}
            paging={{
              page: cursors.length - 1,
              hasNext: next !== null,
              onPrevious: () => setCursors(cursors.slice(0, -1)),
              onNext: () => setCursors([...cursors, next]),
              busy: journal.isFetching,
            }}
            empty={<EmptyState title="No entry fits">Choose another kind or another user.</EmptyState>}
          />
        ) : journal.error ? null : <Skeleton lines={10} />}
      </section>
      <Dialog open={open !== null} title={open ? `Entry ${count(open.entry)}` : ""} onClose={() => setOpen(null)} wide>
        {open ? <Entry entry={open} /> : null}
      </Dialog>
    </>
  );
}

function columns(onOpen: (entry: JournalEntry) => void): Column<JournalEntry>[] {
  return [
    {
      id: "entry",
      head: "Entry",
      cell: (entry) => <button type="button" className="link font-mono" aria-label={`Entry ${entry.entry}, show its sides`} onClick={() => onOpen(entry)}>{count(entry.entry)}</button>,
    },
    { id: "at", head: "Time", wideOnly: true, cell: (entry) => <Moment atMs={entry.at_unix_ms} /> },
    { id: "kind", head: "Kind", cell: (entry) => <Badge tone="off">{entry.kind.replace("_", " ")}</Badge> },
    { id: "note", head: "What happened", cell: (entry) => <Name className="line-clamp-2 min-w-40">{entry.note}</Name> },
    { id: "amount", head: "Moved", numeric: true, cell: (entry) => <Money micro={moved(entry.postings)} /> },
    { id: "hash", head: "Hash", wideOnly: true, cell: (entry) => <span className="text-ink-2 font-mono text-[0.93em]" title={entry.hash}>{shortHash(entry.hash)}</span> },
  ];
}

const SIDES: Column<Posting>[] = [
  { id: "account", head: "Account", cell: (posting) => <span>{accountWords(posting.account).title}{posting.holder ? <span className="text-ink-2"> of {posting.holder}</span> : null}</span> },
  { id: "amount", head: "Change", numeric: true, cell: (posting) => <Money micro={posting.amount_micro} sign className={posting.amount_micro.startsWith("-") ? "" : "text-ok"} /> },
  { id: "balance", head: "Afterwards", numeric: true, wideOnly: true, cell: (posting) => <Money micro={posting.balance_micro} /> },
];

function Entry({ entry }: { entry: JournalEntry }) {
  return (
    <>
      <p><Name>{entry.note}</Name></p>
      <p className="text-ink-2">{entry.kind.replace("_", " ")}, <Moment atMs={entry.at_unix_ms} /></p>
      <div className="border-line rounded-md border">
        <Table caption={`Sides of entry ${entry.entry}`} columns={SIDES} rows={entry.postings} rowKey={(posting) => `${posting.account} ${posting.holder} ${posting.amount_micro}`} />
        <p className="border-line text-ink-2 border-t px-4 py-2 text-right">Together <Money micro={sumOf(entry.postings)} className="text-ink font-semibold" /></p>
      </div>
      <dl className="flex flex-col gap-2">
        {entry.task_id ? <Text name="Task" text={entry.task_id} what="the task's id" /> : null}
        {entry.attempt_id ? <Text name="Attempt" text={entry.attempt_id} what="the attempt's id" /> : null}
        <Text name="Hash" text={entry.hash} what="the hash" />
      </dl>
    </>
  );
}

function Text({ name, text, what }: { name: string; text: string; what: string }) {
  return (
    <div>
      <dt className="text-ink-2">{name}</dt>
      <dd className="flex items-start gap-1 font-mono text-[0.93em] break-all">{text}<Copy text={text} what={what} /></dd>
    </div>
  );
}
