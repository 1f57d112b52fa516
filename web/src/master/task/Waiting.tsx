import { useQuery } from "@tanstack/react-query";
import { Check, CircleDashed, X } from "lucide-react";
import { explainQuery } from "../../api/queries";
import type { Constraint, Explain } from "../../api/types";
import { count, moment, plural } from "../../lib/units";
import { Card, ErrorBox, Since, Skeleton, Table } from "../../ui";

function Sign({ constraint, linked }: { constraint: Constraint; linked: number }) {
  const fit = linked - constraint.nodes_too_small;
  if (fit <= 0) return <X aria-label="No machine is big enough" className="text-bad size-4" />;
  if (fit - constraint.nodes_busy <= 0) return <CircleDashed aria-label="All that are big enough are busy" className="text-wait size-4" />;
  return <Check aria-label="Some have room" className="text-ok size-4" />;
}

function Constraints({ told }: { told: Explain }) {
  return (
    <Table
      caption="what was asked for and who has it"
      rowKey={(row) => row.name}
      rows={told.constraints}
      columns={[
        { id: "sign", head: <span className="sr-only">Met</span>, cell: (row) => <Sign constraint={row} linked={told.nodes_linked} />, className: "w-8" },
        { id: "asked", head: "Asked for", cell: (row) => row.asked || (row.name === "together" ? "all of it on one machine" : row.name) },
        { id: "small", head: "Too small", numeric: true, cell: (row) => count(row.nodes_too_small) },
        { id: "busy", head: "Busy now", numeric: true, cell: (row) => count(row.nodes_busy) },
        { id: "largest", head: "Would run with", cell: (row) => row.largest || "\u2013", wideOnly: true },
      ]}
    />
  );
}

/** Why a task stands where it stands, and the cheapest change that would make it run. */
export function Waiting({ id, status }: { id: string; status: string }) {
  const explain = useQuery(explainQuery(id));
  const title = status === "pending" ? "Why it waits" : "Where it runs";
  if (explain.isError) return <ErrorBox error={explain.error} what="The pool did not say why." onRetry={() => void explain.refetch()} />;
  if (!explain.data) return <Card title={title}><Skeleton /></Card>;
  const told = explain.data;
  return (
    <Card title={title} flush>
      <div className="flex flex-col gap-2 px-4 pb-3">
        {told.reason ? <p className="text-[1.07rem] font-medium">{told.reason}</p> : null}
        {told.advice ? <p className="text-ink-2">{told.advice}</p> : null}
        {told.changes.length > 0 ? (
          <p className="bg-wait-soft rounded-md px-3 py-2">
            The cheapest change that would make it run: {told.changes.map((change) => `${change.name} from ${change.from} to ${change.to}`).join(", ")}.
          </p>
        ) : null}
        {told.place ? <p className="text-ink-2">In the queue: {plural(told.place.requesters_before, "other requester")} and {plural(told.place.own_before, "element")} of yours come earlier.</p> : null}
        {told.node_reserved ? <p className="text-ink-2">A machine is being kept free for it.</p> : null}
        {told.faults ? <p className="text-ink-2">{plural(told.faults.count, "attempt")} of at most {told.faults.most} failed through no fault of the task{told.faults.not_before_unix_ms > 0 ? `; it is tried again at ${moment(told.faults.not_before_unix_ms)}` : ""}.</p> : null}
        {told.run ? (
          <p className="text-ink-2">
            On <strong className="text-ink font-medium">{told.run.node}</strong> ({told.run.link}), attempt {told.run.attempt},{" "}
            {told.run.started_at_unix_ms > 0 ? <>for <Since atMs={told.run.started_at_unix_ms} /></> : "being prepared"}{told.run.note ? ` \u00b7 ${told.run.note}` : ""}
          </p>
        ) : null}
        {status === "pending" ? <p className="text-ink-2">{plural(told.nodes_linked, "machine")} take work, {count(told.nodes_capable)} could run it, {count(told.nodes_free)} have room now.</p> : null}
      </div>
      {told.constraints.length > 0 ? <div className="border-line border-t"><Constraints told={told} /></div> : null}
    </Card>
  );
}
