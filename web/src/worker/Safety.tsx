import { skipToken, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { FlaskConical } from "lucide-react";
import { useEffect } from "react";
import { Link } from "react-router";
import { request } from "../api/client";
import { PageHeader } from "../app/PageHeader";
import { count, moment, plural } from "../lib/units";
import { Badge, Button, Card, EmptyState, ErrorBox, Facts, Progress, Skeleton, Table, TimeAgo, type Column } from "../ui";
import { Verdict } from "../ui/Verdict";
import { StopNow } from "./Controls";
import { egressSentence, few } from "./model/preferences";
import type { Promised, Safety as SafetyNow, SelfTestTold } from "./model/types";
import { nowQuery, safetyQuery } from "./queries";

/** What keeps tasks in, and the proof of it. */
export default function Safety() {
  const safety = useQuery(safetyQuery);
  const running = useQuery(nowQuery).data?.overview.running.length ?? 0;
  return (
    <>
      <PageHeader tab="Safety" title="Safety" lead="What tasks can and cannot do on this machine" aside={<StopNow running={running} />} />
      {safety.error ? <ErrorBox error={safety.error} what="The worker did not tell what keeps tasks in." onRetry={() => void safety.refetch()} /> : null}
      {safety.data ? <Shown safety={safety.data} /> : safety.error ? null : <Skeleton lines={10} />}
    </>
  );
}

function Shown({ safety }: { safety: SafetyNow }) {
  return (
    <>
      <SelfTest safety={safety} />
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <Policy safety={safety} />
        <Images safety={safety} />
      </div>
    </>
  );
}

/** Where the page's events put what a running test tells. */
const SELFTEST_KEY = ["worker", "selftest"] as const;

/** Lines of a test that runs, as they come; null while none runs. */
function useTold(isRunning: boolean): SelfTestTold | null {
  const client = useQueryClient();
  const told = useQuery<SelfTestTold>({ queryKey: SELFTEST_KEY, queryFn: skipToken }).data;
  const hasEnded = told?.running === false;
  useEffect(() => {
    if (hasEnded) void client.invalidateQueries({ queryKey: safetyQuery.queryKey });
  }, [hasEnded, client]);
  return isRunning && told?.running ? told : null;
}

function SelfTest({ safety: { selftest } }: { safety: SafetyNow }) {
  const client = useQueryClient();
  const now = useQuery(nowQuery).data;
  const isRunning = selftest.running || now?.selftest_running === true;
  const told = useTold(isRunning);
  const refresh = () => client.invalidateQueries({ queryKey: safetyQuery.queryKey });
  const run = useMutation({ mutationFn: () => request("/worker/selftest", { method: "POST" }), onSettled: refresh });
  // The worker says in its live state when a test has begun or ended, whoever began it.
  const said = now?.selftest_running;
  useEffect(() => {
    if (said !== undefined) void client.invalidateQueries({ queryKey: safetyQuery.queryKey });
  }, [said, client]);
  const last = selftest.last;
  return (
    <Card
      title="Self-test"
      aside={selftest.possible ? <Button look="primary" busy={isRunning || run.isPending} icon={<FlaskConical aria-hidden className="size-4" />} onClick={() => run.mutate()}>{isRunning ? "Attacking…" : "Run it now"}</Button> : undefined}
    >
      <div className="flex flex-col gap-4">
        <p className="text-ink-2">Containers of the worker&rsquo;s own attack this machine from inside: they look for your files, your network and your processes, and take more than their share. Each promise holds only where every attack on it failed.</p>
        {isRunning ? <Running told={told} /> : null}
        {selftest.fault ? <Verdict tone="bad" title="The last self-test did not end well">{selftest.fault}</Verdict> : null}
        {run.error ? <ErrorBox error={run.error} what="No self-test was begun." /> : null}
        {!selftest.possible ? <Verdict tone="wait" title="There is nothing to attack">What runs tasks here isolates nothing, and is for tests only.</Verdict> : null}
        {last ? (
          <>
            <Verdict tone={last.holds ? "ok" : "bad"} title={last.holds ? "Every required promise holds" : "A required promise does not hold"}>
              Tested {moment(last.at_unix_ms)} with {last.runtime}. {summed(last.promises)}
            </Verdict>
            <div className="border-line rounded-md border"><Table caption="Promises" columns={COLUMNS} rows={last.promises} rowKey={(line) => line.promise} /></div>
          </>
        ) : selftest.possible && !isRunning ? <EmptyState title="This machine was not tested yet">The test takes about a minute.</EmptyState> : null}
      </div>
    </Card>
  );
}

function Running({ told }: { told: SelfTestTold | null }) {
  const [done, of] = [told?.done ?? 0, told?.of ?? 21];
  return (
    <div role="status" className="flex flex-col gap-1.5">
      <p>{plural(done, "promise")} of {count(of)} attacked{told?.line ? `; last: ${told.line.title}` : ""}</p>
      <Progress percent={(100 * done) / Math.max(1, of)} label="Self-test" />
    </div>
  );
}

function summed(promises: Promised[]): string {
  const of = (verdict: string) => promises.filter((line) => line.verdict.toLowerCase() === verdict).length;
  return `${count(of("pass"))} passed, ${count(of("fail"))} failed, ${count(of("skipped"))} could not be tried here.`;
}

const VERDICTS: Record<string, "ok" | "bad" | "off"> = { pass: "ok", fail: "bad", skipped: "off" };

const COLUMNS: Column<Promised>[] = [
  { id: "verdict", head: "Result", cell: (line) => <Badge tone={VERDICTS[line.verdict.toLowerCase()] ?? "off"}>{line.verdict.toLowerCase()}</Badge> },
  { id: "title", head: "Promise", cell: (line) => <span>{line.title.charAt(0).toUpperCase() + line.title.slice(1)}{line.required ? null : <span className="text-ink-3"> (not required)</span>}</span> },
  { id: "detail", head: "What was seen", wideOnly: true, cell: (line) => <span className="text-ink-2">{line.detail}{line.fix ? <span className="text-ink block">To do: {line.fix}</span> : null}</span> },
];

function Policy({ safety: { runtime, isolation, network, network_fault, images_allowed } }: { safety: SafetyNow }) {
  return (
    <Card title="Rules for tasks" aside={<Link to="/when" className="link">Change them</Link>}>
      <Facts
        facts={[
          ["Runs with", runtime],
          ["Isolation", isolation],
          ["Network", <span key="network">{network_fault ?? egressSentence(network.egress)}{network_fault === null && network.egress.length > 0 && network.egress[0] !== "public" ? <span className="text-ink-2 block font-mono text-[0.93em]">{few(network.egress, 6)}</span> : null}</span>],
          ["Speed", network.mbit_per_second ? `${count(network.mbit_per_second)} Mbit/s for all tasks together` : "no limit of yours"],
          ["Volume", network.gib_per_day ? `${count(network.gib_per_day)} GiB a day for all tasks together` : "no limit of yours"],
          ["Images", images_allowed.length === 0 ? "all" : <span key="images" className="font-mono text-[0.93em]">{few(images_allowed, 6)}</span>],
        ]}
      />
    </Card>
  );
}

type Ran = SafetyNow["images_run"][number];

const RAN: Column<Ran>[] = [
  { id: "image", head: "Image", cell: (ran) => <span className="font-mono text-[0.93em]">{ran.image}</span> },
  { id: "attempts", head: "Times", numeric: true, cell: (ran) => count(ran.attempts) },
  { id: "last", head: "Last", numeric: true, cell: (ran) => <TimeAgo atMs={ran.last_unix_ms} /> },
];

function Images({ safety }: { safety: SafetyNow }) {
  return (
    <Card title="Images run since the worker began" flush>
      <Table caption="Images run" columns={RAN} rows={safety.images_run} rowKey={(ran) => ran.image} empty={<EmptyState title="None yet" />} />
    </Card>
  );
}
