import { useMutation, useQuery } from "@tanstack/react-query";
import { ShieldCheck } from "lucide-react";
import { useMemo } from "react";
import { Link } from "react-router";
import { PageHeader } from "../app/PageHeader";
import { cpt } from "../lib/money";
import { count, plural } from "../lib/units";
import { Button, Card, EmptyState, ErrorBox, Facts, Money, Skeleton, Table, type Column } from "../ui";
import { Copy } from "../ui/Copy";
import { Verdict } from "../ui/Verdict";
import { judge, micro, partOf, shortHash, type BookLine, type Books } from "./model/ledger";
import type { Audit, HoldsByAge, TrialBalance } from "./model/types";
import { audit, trialBalanceQuery } from "./queries";

/** The books, and whether they balance. */
export default function Ledger() {
  const trial = useQuery(trialBalanceQuery);
  const books = useMemo(() => (trial.data ? judge(trial.data) : null), [trial.data]);
  return (
    <>
      <PageHeader
        tab="Ledger"
        title="Ledger"
        lead="What the accounts hold together, to the last micro-CPT"
        aside={<Button busy={trial.isFetching} onClick={() => void trial.refetch()}>Add up again</Button>}
      />
      {trial.error ? <ErrorBox error={trial.error} what="The trial balance could not be read." onRetry={() => void trial.refetch()} /> : null}
      {trial.data && books ? (
        <>
          <Balance books={books} />
          <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
            <Accounts books={books} />
            <div className="flex min-w-0 flex-col gap-4">
              <Replay trial={trial.data} />
              <Holds holds={trial.data.holds} />
            </div>
          </div>
        </>
      ) : trial.error ? null : <Skeleton lines={10} />}
    </>
  );
}

function Balance({ books }: { books: Books }) {
  if (books.balances) {
    return (
      <Verdict tone="ok" title="The books balance">
        All accounts together hold exactly <Money micro={books.expected} />, the fixed supply. Imbalance: 0.
      </Verdict>
    );
  }
  return (
    <Verdict tone="bad" title="The books do not balance">
      All accounts together hold <Money micro={books.total} />, and there must be <Money micro={books.expected} />: a difference of{" "}
      <Money micro={books.difference} sign />. Stop taking tasks, keep the data folder, and replay the journal.
    </Verdict>
  );
}

const LINES: Column<BookLine>[] = [
  {
    id: "kind",
    head: "Accounts",
    cell: (line) => <span className="flex flex-col py-0.5"><span className="font-medium">{line.title}</span><span className="text-ink-3 text-[0.93em]">{line.means}</span></span>,
  },
  { id: "count", head: "Number", numeric: true, wideOnly: true, cell: (line) => count(line.accounts) },
  { id: "balance", head: "Balance", numeric: true, cell: (line) => <Money micro={line.balance} /> },
  {
    id: "part",
    head: "Of the supply",
    numeric: true,
    wideOnly: true,
    cell: (line) => share(line),
  },
];

function share({ part, balance }: BookLine): string {
  if (balance === 0n) return "0 %";
  if (part < 0.000_01) return "under 0.001 %";
  return `${(part * 100).toFixed(3)} %`;
}

function Accounts({ books }: { books: Books }) {
  return (
    <Card title="Trial balance" flush>
      <Table caption="Trial balance" columns={LINES} rows={books.lines} rowKey={(line) => line.kind} />
      <dl className="border-line flex flex-wrap justify-between gap-x-6 gap-y-1 border-t px-4 py-3">
        <div className="flex gap-3"><dt className="text-ink-2">Together</dt><dd className="font-semibold"><Money micro={books.total} /></dd></div>
        <div className="flex gap-3"><dt className="text-ink-2">Supply</dt><dd className="font-semibold"><Money micro={books.expected} /></dd></div>
      </dl>
    </Card>
  );
}

function Replay({ trial }: { trial: TrialBalance }) {
  const run = useMutation({ mutationFn: audit });
  return (
    <Card title="Journal">
      <div className="flex flex-col gap-4">
        <Facts
          facts={[
            ["Entries", <span key="entries">{count(trial.entries)}, <Link to="/audit" className="link">read them</Link></span>],
            [
              "Newest hash",
              <span key="hash" className="flex items-center gap-1 font-mono">
                <span title={trial.last_hash}>{shortHash(trial.last_hash) || "none"}</span>
                {trial.last_hash ? <Copy text={trial.last_hash} what="the hash" /> : null}
              </span>,
            ],
          ]}
        />
        <p className="text-ink-2">Every entry is chained to the one before by its hash. The audit replays all of them from the first and compares the result with what is stored.</p>
        <div><Button look="primary" busy={run.isPending} icon={<ShieldCheck aria-hidden className="size-4" />} onClick={() => run.mutate()}>Replay the journal now</Button></div>
        <div role="status">{run.data ? <Found audit={run.data} /> : null}</div>
        {run.error ? <ErrorBox error={run.error} what="The journal was not replayed." /> : null}
      </div>
    </Card>
  );
}

function Found({ audit: { balanced, finding, entries, accounts, bad_entry, held_micro } }: { audit: Audit }) {
  if (balanced) {
    return (
      <Verdict tone="ok" title="The journal gives the stored balances">
        {plural(entries, "entry", "entries")} replayed, {plural(accounts, "account")} compared, every hash holds. {cpt(held_micro)} CPT are held.
      </Verdict>
    );
  }
  return <Verdict tone="bad" title="The journal does not give the stored balances">{finding}{bad_entry > 0 ? ` First entry that cannot be true: ${count(bad_entry)}.` : ""}</Verdict>;
}

function Holds({ holds }: { holds: HoldsByAge[] }) {
  const largest = holds.reduce((most, line) => (micro(line.amount_micro) > most ? micro(line.amount_micro) : most), 0n);
  if (holds.every((line) => line.holds === 0)) {
    return <Card title="Holds by age"><EmptyState title="Nothing is held">A hold opens when a task is accepted, and closes when it ends.</EmptyState></Card>;
  }
  return (
    <Card title="Holds by age">
      <ul className="flex flex-col gap-3">
        {holds.map((line) => (
          <li key={line.age} className="flex flex-col gap-1">
            <span className="flex flex-wrap justify-between gap-x-3">
              <span>{line.age}</span>
              <span className="text-ink-2">{plural(line.holds, "hold")}, <Money micro={line.amount_micro} className="text-ink" /></span>
            </span>
            <span aria-hidden className="bg-sunken h-1.5 overflow-hidden rounded-full"><span className="bg-accent block h-full" style={{ width: `${partOf(micro(line.amount_micro), largest) * 100}%` }} /></span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
