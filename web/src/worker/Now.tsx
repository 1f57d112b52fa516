import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { PageHeader } from "../app/PageHeader";
import { bytes, count, duration, percent, plural } from "../lib/units";
import { Badge, Card, EmptyState, ErrorBox, Money, Progress, Since, Skeleton, Table, type Column } from "../ui";
import { LiveChart, type LiveLine } from "../ui/LiveChart";
import { Tile, Tiles } from "../ui/Tile";
import { Verdict } from "../ui/Verdict";
import { Controls, StopNow } from "./Controls";
import type { MachineNow, Running, WorkerNow } from "./model/types";
import { earningsQuery, nowQuery, useNowSeries } from "./queries";
import { Pulse } from "./Pulse";

const WINDOW_SECONDS = 300;
const USE: LiveLine[] = [{ name: "Processor", token: "accent" }, { name: "Memory", token: "run" }];
const USE_GPU: LiveLine[] = [...USE, { name: "Graphics", token: "ok" }];
const HEAT: LiveLine[] = [{ name: "Hottest processor", token: "bad" }];

/** What this machine does, in one sentence, and the buttons for it. */
export default function Now() {
  const now = useQuery(nowQuery);
  return (
    <>
      <PageHeader
        tab={now.data ? now.data.sentence : "Now"}
        title="Now"
        lead={now.data ? <>{now.data.overview.node}, at the pool {now.data.server}</> : "What this machine does"}
        aside={now.data ? <StopNow running={now.data.overview.running.length} /> : undefined}
      />
      {now.error ? <ErrorBox error={now.error} what="The worker did not tell how things stand." onRetry={() => void now.refetch()} /> : null}
      {now.data ? <Shown now={now.data} /> : now.error ? null : <Skeleton lines={8} />}
    </>
  );
}

function Shown({ now }: { now: WorkerNow }) {
  return (
    <>
      <Sentence now={now} />
      <Faults now={now} />
      <Figures now={now} />
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <Use machine={now.machine} />
        <Heat machine={now.machine} />
      </div>
      <Card title="Tasks on this machine" flush>
        <Table
          caption="Tasks on this machine"
          columns={COLUMNS}
          rows={now.overview.running}
          rowKey={(task) => task.attempt}
          empty={<EmptyState title="Nothing runs here now">Tasks come by themselves while the machine is started and your rules allow it.</EmptyState>}
        />
      </Card>
      <p className="text-ink-3">You see what a task uses, not what it computes, or for whom. Worker {now.version}.</p>
    </>
  );
}

function Sentence({ now: { sentence, overview, machine } }: { now: WorkerNow }) {
  const why = overview.sentence && overview.sentence !== sentence ? overview.sentence : null;
  return (
    <section aria-label="What this machine does" className="card flex flex-col gap-5 p-5">
      <div className="flex items-start gap-4">
        <Pulse state={overview.state} busy={overview.running.length > 0} />
        <div className="min-w-0" role="status">
          <p className="text-2xl leading-tight font-semibold tracking-tight text-balance">{sentence}</p>
          {why ? <p className="text-ink-2 mt-1">{why}</p> : null}
          {overview.waiting > 0 ? <p className="text-ink-2 mt-1">{overview.waiting === 1 ? "1 more task waits for its turn here." : `${count(overview.waiting)} more tasks wait for their turn here.`}</p> : null}
          {overview.give_back_in_ms === null ? null : <p className="text-ink-2 mt-1">What stands still is given back in {duration(overview.give_back_in_ms)}.</p>}
        </div>
      </div>
      <Controls overview={overview} part="machine" />
      {machine.gpus.length > 0 ? (
        <div className="border-line flex flex-col gap-3 border-t pt-4">
          <p><strong className="font-semibold">Graphics processors:</strong> {overview.gpu_reason || "take work while the machine does."}</p>
          <Controls overview={overview} part="gpu" />
        </div>
      ) : null}
    </section>
  );
}

function Faults({ now: { overview } }: { now: WorkerNow }) {
  const faults: { title: string; text: string; to?: string }[] = [];
  if (!overview.linked) faults.push({ title: "The pool does not answer", text: overview.last_error ?? "The worker tries again by itself; what runs goes on." });
  if (overview.preferences_fault) faults.push({ title: "Your preferences have a fault; the ones before count", text: overview.preferences_fault, to: "/when" });
  if (overview.share_fault) faults.push({ title: "Your shares are not kept by the kernel", text: overview.share_fault, to: "/when" });
  if (overview.undelivered > 0) faults.push({ title: `${plural(overview.undelivered, "result")} not delivered yet`, text: "They are kept here and sent when the pool answers." });
  if (faults.length === 0) return null;
  return (
    <ul aria-label="What needs a look" className="flex flex-col gap-2">
      {faults.map((fault) => (
        <li key={fault.title}>
          <Verdict tone="wait" title={fault.title} aside={fault.to ? <Link to={fault.to} className="link">Change them</Link> : null}>{fault.text}</Verdict>
        </li>
      ))}
    </ul>
  );
}

function Figures({ now: { machine } }: { now: WorkerNow }) {
  const earnings = useQuery(earningsQuery).data;
  const gpu = machine.gpus[0];
  return (
    <Tiles label="This machine now" narrow>
      <Tile name="Earned today" note={earnings ? <>and <Money micro={earnings.pending_micro} /> by what runs</> : "the pool was not asked yet"}>
        {earnings ? <Money micro={earnings.earned_today_micro} /> : "–"}
      </Tile>
      <Tile name="Processor" note={`load ${machine.load.toFixed(1)}, your own programs included`}>{percent(Math.round(machine.cpu_percent))}</Tile>
      <Tile name="Memory" note={`${bytes(machine.memory_used_bytes)} of ${bytes(machine.memory_bytes)}`}>{percent(Math.round(machine.memory_percent))}</Tile>
      {gpu ? <Tile name="Graphics" note={machine.gpus.length > 1 ? `${count(machine.gpus.length)} processors` : gpu.name}>{percent(Math.round(gpu.busy_percent))}</Tile> : null}
      <Tile name="Temperature" note={machine.temperature_celsius === null ? "no sensor tells it" : "the hottest processor"}>
        {machine.temperature_celsius === null ? "unknown" : `${Math.round(machine.temperature_celsius)} °C`}
      </Tile>
      <Tile name="Disk" note={`${bytes(machine.disk_used_bytes)} of ${bytes(machine.disk_bytes)}`}>{percent(Math.round(machine.disk_percent))}</Tile>
      <Tile name="Network" note={`${bytes(machine.sent_bytes_per_second)}/s sent`}>{bytes(machine.received_bytes_per_second)}/s</Tile>
    </Tiles>
  );
}

function Use({ machine }: { machine: MachineNow }) {
  const hasGpu = machine.gpus.length > 0;
  const plain = useNowSeries("processor", "memory");
  const withGpu = useNowSeries("processor", "memory", "graphics");
  return (
    <Card title="Use in the last five minutes">
      <LiveChart
        summary={`Use of this machine in the last five minutes. Now ${Math.round(machine.cpu_percent)} % of the processor and ${Math.round(machine.memory_percent)} % of the memory.`}
        data={hasGpu ? withGpu : plain}
        lines={hasGpu ? USE_GPU : USE}
        unit="%"
        top={100}
        height={180}
        windowSeconds={WINDOW_SECONDS}
      />
    </Card>
  );
}

function Heat({ machine }: { machine: MachineNow }) {
  const series = useNowSeries("temperature");
  return (
    <Card title="Temperature">
      {machine.temperature_celsius === null ? (
        <EmptyState title="No sensor tells the temperature">Virtual machines often have none. The hardware protects itself.</EmptyState>
      ) : (
        <LiveChart
          summary={`Temperature in the last five minutes. Now ${Math.round(machine.temperature_celsius)} °C.`}
          data={series}
          lines={HEAT}
          unit="°C"
          top={80}
          height={180}
          windowSeconds={WINDOW_SECONDS}
        />
      )}
    </Card>
  );
}

const COLUMNS: Column<Running>[] = [
  { id: "image", head: "Image", cell: (task) => <span className="font-mono text-[0.93em]">{task.image}</span> },
  { id: "state", head: "State", cell: (task) => (task.paused ? <Badge tone="wait">stands still</Badge> : <Badge tone="run" live>running</Badge>) },
  { id: "progress", head: "Progress", wideOnly: true, cell: (task) => <span className="flex items-center gap-2"><span className="w-24"><Progress percent={task.progress_percent} label={`Progress of ${task.attempt}`} /></span>{percent(task.progress_percent)}</span> },
  { id: "since", head: "For", numeric: true, cell: (task) => <Since atMs={task.since_unix_ms} /> },
  { id: "cpu", head: "Processor time", numeric: true, wideOnly: true, cell: (task) => duration(task.cpu_ms) },
  { id: "memory", head: "Memory", numeric: true, cell: (task) => bytes(task.memory_bytes) },
  { id: "disk", head: "Disk", numeric: true, wideOnly: true, cell: (task) => (task.disk_bytes === 0 ? <span className="text-ink-3">unknown</span> : bytes(task.disk_bytes)) },
];

