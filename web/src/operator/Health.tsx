import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { PageHeader } from "../app/PageHeader";
import { cpt, micro } from "../lib/money";
import { bytes, cores, count, duration, mebibytes, percent, plural } from "../lib/units";
import { Card, ErrorBox, Since, Skeleton, TimeAgo } from "../ui";
import { Copy } from "../ui/Copy";
import { LiveChart, type LiveLine } from "../ui/LiveChart";
import { Meter } from "../ui/Meter";
import { Tile, Tiles, type TileTone } from "../ui/Tile";
import { Verdict } from "../ui/Verdict";
import { churnTone, findings, isZero, latencyTone, part, type Tone, waitTone } from "./model/health";
import type { Health as HealthNow } from "./model/types";
import { healthQuery, useHealthSeries } from "./queries";

const TONES: Record<Tone, TileTone> = { good: "ok", warn: "wait", bad: "bad" };
const WINDOW_SECONDS = 300;
const USE_LINES: LiveLine[] = [{ name: "Processor promised", token: "accent" }, { name: "Memory promised", token: "run" }];
const WORK_LINES: LiveLine[] = [{ name: "Attempts running", token: "ok" }, { name: "Elements waiting", token: "wait" }];
const COMMIT_LINES: LiveLine[] = [{ name: "Commits per second", token: "run" }];
const LATENCY_LINES: LiveLine[] = [{ name: "99 of 100 within", token: "wait" }, { name: "Half within", token: "ok" }];

/** Whether the pool is well, in one look. */
export default function Health() {
  const health = useQuery(healthQuery);
  return (
    <>
      <PageHeader
        tab="Health"
        title="Health"
        lead={health.data ? <>HiveMind {health.data.version}, up for <Since atMs={health.data.started_at_unix_ms} /></> : "How the pool is"}
      />
      {health.error ? <ErrorBox error={health.error} what="The pool did not tell how it is." onRetry={() => void health.refetch()} /> : null}
      {health.data ? <Now health={health.data} /> : health.error ? null : <Skeleton lines={8} />}
    </>
  );
}

function Now({ health }: { health: HealthNow }) {
  return (
    <>
      <Findings health={health} />
      <Promises health={health} />
      <div className="grid gap-4 lg:grid-cols-2">
        <Capacity health={health} />
        <Work health={health} />
      </div>
      <div className="grid gap-4 lg:grid-cols-2">
        <Latency health={health} />
        <Commits health={health} />
      </div>
    </>
  );
}

function Findings({ health }: { health: HealthNow }) {
  const found = findings(health);
  if (found.length === 0) {
    return (
      <Verdict tone="ok" title="All is well">
        Nothing is lost, the books balance, and work is handed out in time.
      </Verdict>
    );
  }
  return (
    <ul aria-label="What needs a look" className="flex flex-col gap-2">
      {found.map((finding) => (
        <li key={finding.title}>
          <Verdict tone={finding.tone === "bad" ? "bad" : "wait"} title={finding.title} aside={finding.to ? <Link to={finding.to} className="link">Look there</Link> : null}>
            {finding.detail}
          </Verdict>
        </li>
      ))}
    </ul>
  );
}

function Promises({ health }: { health: HealthNow }) {
  const balanced = isZero(health.ledger_imbalance_micro);
  const checked = health.checked_at_unix_ms > 0 ? <>looked at <TimeAgo atMs={health.checked_at_unix_ms} /></> : "not looked at yet";
  const known = health.checked_at_unix_ms > 0;
  return (
    <Tiles label="The pool now">
      <Tile name="Tasks lost" tone={health.tasks_lost !== 0 ? "bad" : known ? "ok" : "off"} note={checked}>{count(health.tasks_lost)}</Tile>
      <Tile name="Ledger imbalance" tone={!balanced ? "bad" : known ? "ok" : "off"} note={checked}>
        {balanced ? "0" : cpt(micro(health.ledger_imbalance_micro), { sign: true })} <Unit>CPT</Unit>
      </Tile>
      <Tile
        name="Submission to hand-out"
        tone={health.schedule_latency_count === 0 ? "none" : TONES[latencyTone(health.schedule_latency_p99_ms)]}
        note={health.schedule_latency_count === 0 ? "nothing handed out in 5 min" : `99 of 100; half within ${duration(health.schedule_latency_p50_ms)}`}
      >
        {health.schedule_latency_count === 0 ? "–" : duration(health.schedule_latency_p99_ms)}
      </Tile>
      <Tile name="Oldest waiting" tone={TONES[waitTone(health.oldest_waiting_ms)]} note={<Oldest health={health} />}>
        {health.oldest_waiting_task === "" ? "Nothing" : duration(health.oldest_waiting_ms)}
      </Tile>
      <Tile
        name="Nodes online"
        tone={health.nodes_total === 0 ? "off" : health.nodes_online === 0 ? "bad" : TONES[churnTone(health.nodes_lost_last_hour, health.nodes_total)]}
        note={<>last hour: {count(health.nodes_joined_last_hour)} came, {count(health.nodes_lost_last_hour)} lost</>}
      >
        {count(health.nodes_online)} <Unit>of {count(health.nodes_total)}</Unit>
      </Tile>
      <Tile name="Tasks open" note={`${count(health.tasks_pending)} pending, ${count(health.tasks_running)} running`}>
        {count(health.tasks_pending + health.tasks_running)}
      </Tile>
      <Tile name="Commits" note="mean of the last minute">{health.commits_per_second.toFixed(1)} <Unit>per s</Unit></Tile>
      <Tile name="Disk free" tone={health.disk_free_bytes < 0 ? "off" : health.disk_free_bytes < 2 ** 30 ? "bad" : "ok"} note="where the pool keeps its data">
        {health.disk_free_bytes < 0 ? "unknown" : bytes(health.disk_free_bytes)}
      </Tile>
    </Tiles>
  );
}

function Unit({ children }: { children: React.ReactNode }) {
  return <span className="text-ink-2 text-base font-normal tracking-normal">{children}</span>;
}

function Oldest({ health }: { health: HealthNow }) {
  if (health.oldest_waiting_task === "") return <>no element waits</>;
  return (
    <span className="flex items-center gap-1">
      <span className="truncate font-mono" title={health.oldest_waiting_task}>{health.oldest_waiting_task}</span>
      <Copy text={health.oldest_waiting_task} what="the task's id" />
    </span>
  );
}

function Capacity({ health }: { health: HealthNow }) {
  const cpu = part(health.cpu_millicores_used, health.cpu_millicores_total);
  const memory = part(health.memory_mb_used, health.memory_mb_total);
  return (
    <Card title="Capacity of nodes online">
      <div className="flex flex-col gap-4">
        <Meter name="Processor" part={cpu}>{cores(health.cpu_millicores_used)} of {cores(health.cpu_millicores_total)} promised, {percent(Math.round(cpu * 100))}</Meter>
        <Meter name="Memory" part={memory} tone="run">{mebibytes(health.memory_mb_used)} of {mebibytes(health.memory_mb_total)} promised, {percent(Math.round(memory * 100))}</Meter>
        <LiveChart
          summary={`Promised to attempts in the last five minutes. Now ${Math.round(cpu * 100)} % of the processors and ${Math.round(memory * 100)} % of the memory.`}
          data={useHealthSeries("processor", "memory")}
          lines={USE_LINES}
          unit="%"
          top={100}
          windowSeconds={WINDOW_SECONDS}
        />
      </div>
    </Card>
  );
}

function Work({ health }: { health: HealthNow }) {
  return (
    <Card title="Work" aside={<Link to="/queue" className="link">Why things wait</Link>}>
      <div className="flex flex-col gap-4">
        <p className="text-ink-2">
          <strong className="text-ink font-semibold">{plural(health.attempts_running, "attempt")}</strong> running,{" "}
          {count(health.attempts_assigned)} being prepared, {plural(health.elements_waiting, "element")} waiting.
        </p>
        <LiveChart
          summary={`Work in the last five minutes. Now ${count(health.attempts_running)} attempts run and ${count(health.elements_waiting)} elements wait.`}
          data={useHealthSeries("running", "waiting")}
          lines={WORK_LINES}
          unit=""
          top={4}
          height={190}
          windowSeconds={WINDOW_SECONDS}
        />
      </div>
    </Card>
  );
}

function Latency({ health }: { health: HealthNow }) {
  return (
    <Card title="Submission to hand-out">
      <LiveChart
        summary={`How long first attempts waited for a node. Now half within ${duration(health.schedule_latency_p50_ms)}, 99 of 100 within ${duration(health.schedule_latency_p99_ms)}.`}
        data={useHealthSeries("p99", "p50")}
        lines={LATENCY_LINES}
        unit="ms"
        top={20}
        windowSeconds={WINDOW_SECONDS}
      />
    </Card>
  );
}

function Commits({ health }: { health: HealthNow }) {
  return (
    <Card title="Durable commits">
      <LiveChart
        summary={`Transactions that reached the disk. Now ${health.commits_per_second.toFixed(1)} per second.`}
        data={useHealthSeries("commits")}
        lines={COMMIT_LINES}
        unit="/s"
        top={5}
        windowSeconds={WINDOW_SECONDS}
      />
    </Card>
  );
}
