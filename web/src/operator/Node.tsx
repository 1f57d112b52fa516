import { useQuery } from "@tanstack/react-query";
import { ChevronLeft } from "lucide-react";
import { useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { PageHeader } from "../app/PageHeader";
import { useNow } from "../lib/now";
import { bytes, cores, count, duration, mebibytes, moment, percent } from "../lib/units";
import { Card, Chart, EmptyState, ErrorBox, Facts, Money, Name, Select, Skeleton, TimeAgo, type Series } from "../ui";
import { Tile, Tiles } from "../ui/Tile";
import { Verdict } from "../ui/Verdict";
import { standing, STANDING_MEANS, usage } from "./model/nodes";
import type { NodeSample, NodeSummary } from "./model/types";
import { NodeActions } from "./NodeActions";
import { historyQuery, nodesQuery } from "./queries";
import { StandingBadge, TrustBadge } from "./StandingBadge";

const RANGES = [
  { value: "1", text: "Last hour" },
  { value: "24", text: "Last day" },
  { value: "168", text: "Last week" },
];

/** All about one machine. */
export default function Node() {
  const name = useParams()["name"] ?? "";
  const nodes = useQuery(nodesQuery);
  const node = nodes.data?.find((one) => one.node_id === name);
  return (
    <>
      <Link to="/nodes" className="link inline-flex items-center gap-1 self-start"><ChevronLeft aria-hidden className="size-4" />Nodes</Link>
      <PageHeader
        tab={name}
        title={<span className="flex flex-wrap items-center gap-3">{name}{node ? <StandingBadge node={node} /> : null}</span>}
        lead={node ? <>of <Name>{node.owner}</Name>, last beat <TimeAgo atMs={node.seen_at_unix_ms} /></> : undefined}
        aside={node ? <NodeActions node={node} /> : undefined}
      />
      {nodes.error ? <ErrorBox error={nodes.error} what="The nodes could not be read." onRetry={() => void nodes.refetch()} /> : null}
      {node ? <Shown node={node} /> : nodes.data ? <EmptyState title="There is no such node" action={<Link to="/nodes" className="link">To all nodes</Link>} /> : nodes.error ? null : <Skeleton lines={8} />}
    </>
  );
}

function Shown({ node }: { node: NodeSummary }) {
  return (
    <>
      <Why node={node} />
      <Usage node={node} />
      <History name={node.node_id} />
      <div className="grid gap-4 lg:grid-cols-2">
        <Machine node={node} />
        <Trust node={node} />
      </div>
    </>
  );
}

function Why({ node }: { node: NodeSummary }) {
  const now = useNow();
  const stands = standing(node, now);
  if (stands === "online") return null;
  const until = stands === "draining" ? node.service_until_unix_ms : stands === "resting" ? node.resting_until_unix_ms : 0;
  return (
    <Verdict tone={stands === "banned" || stands === "offline" ? "bad" : "wait"} title={STANDING_MEANS[stands]}>
      {stands === "banned" && node.service_reason ? <p>Reason: <Name>{node.service_reason}</Name></p> : null}
      {(stands === "paused" || stands === "finishing") && node.available_reason ? <p>{node.available_reason}</p> : null}
      {until > 0 ? <p>Until {moment(until)}.</p> : null}
    </Verdict>
  );
}

function Usage({ node }: { node: NodeSummary }) {
  const of = (measure: "cpu" | "memory") => {
    const use = usage(node, measure);
    return use === null ? "–" : percent(Math.round(use * 100));
  };
  const promised = node.cpu_millicores - node.free_cpu_millicores;
  return (
    <Tiles label="The node now" narrow>
      <Tile name="Processor" note={`${cores(promised)} of ${cores(node.cpu_millicores)} promised`}>{of("cpu")}</Tile>
      <Tile name="Memory" note={`${mebibytes(node.memory_mb - node.free_memory_mb)} of ${mebibytes(node.memory_mb)} promised`}>{of("memory")}</Tile>
      <Tile name="Disk" note={`offers ${mebibytes(node.disk_mb)}`}>{node.state === "offline" ? "–" : percent(Math.round(node.disk_usage))}</Tile>
      {node.gpus > 0 ? <Tile name="Graphics" note={node.gpu_info}>{percent(Math.round(node.gpu_usage))}</Tile> : null}
      <Tile name="Attempts running" note={<>earning <Money micro={node.pending_micro} /></>}>{count(node.active_attempts)}</Tile>
      <Tile name="Temperature" note="the hottest sensor">{node.temperature_celsius > 0 ? `${Math.round(node.temperature_celsius)} °C` : "unknown"}</Tile>
    </Tiles>
  );
}

function History({ name }: { name: string }) {
  const [hours, setHours] = useState("1");
  const history = useQuery(historyQuery(name, Number(hours)));
  const samples = history.data?.samples;
  return (
    <Card title="History" aside={<Select label="Time" hideLabel options={RANGES} value={hours} onValue={setHours} className="w-36" />}>
      {history.error ? <ErrorBox error={history.error} what="The history could not be read." onRetry={() => void history.refetch()} /> : null}
      {samples === undefined ? (history.error ? null : <Skeleton lines={6} />) : samples.length === 0 ? (
        <EmptyState title="Nothing was heard in that time" />
      ) : (
        <Charts samples={samples} />
      )}
    </Card>
  );
}

function Charts({ samples }: { samples: NodeSample[] }) {
  const shapes = useMemo(() => {
    const of = (read: (sample: NodeSample) => number) => samples.map(read);
    const use: Series[] = [
      { name: "Processor", token: "accent", values: of((sample) => round(sample.cpu_usage)), fill: true },
      { name: "Memory", token: "run", values: of((sample) => round(sample.memory_usage)) },
    ];
    const network: Series[] = [
      { name: "Received", token: "ok", values: of((sample) => round(sample.received_bytes_per_second / 1024)) },
      { name: "Sent", token: "run", values: of((sample) => round(sample.sent_bytes_per_second / 1024)) },
    ];
    const attempts: Series[] = [{ name: "Running", token: "ok", values: of((sample) => round(sample.attempts)), fill: true, stepped: true }];
    const heat: Series[] = [{ name: "Hottest sensor", token: "bad", values: of((sample) => (sample.temperature_celsius > 0 ? round(sample.temperature_celsius) : null) as number) }];
    return { times: of((sample) => sample.at_unix_ms / 1000), use, network, attempts, heat };
  }, [samples]);
  const last = samples.at(-1);
  if (!last) return null;
  return (
    <div className="grid gap-x-6 gap-y-5 lg:grid-cols-2">
      <Chart summary={`Use of the machine; last ${percent(Math.round(last.cpu_usage))} processor, ${percent(Math.round(last.memory_usage))} memory.`} times={shapes.times} series={shapes.use} unit="%" top={100} />
      <Chart summary={`Attempts that ran; last ${round(last.attempts)}.`} times={shapes.times} series={shapes.attempts} unit="" top={2} />
      <Chart summary={`Network; last ${bytes(last.received_bytes_per_second)}/s received, ${bytes(last.sent_bytes_per_second)}/s sent.`} times={shapes.times} series={shapes.network} unit="KiB/s" />
      {samples.some((sample) => sample.temperature_celsius > 0) ? (
        <Chart summary={`Temperature; last ${Math.round(last.temperature_celsius)} °C.`} times={shapes.times} series={shapes.heat} unit="°C" top={60} />
      ) : null}
    </div>
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function Machine({ node }: { node: NodeSummary }) {
  return (
    <Card title="Machine">
      <Facts
        facts={[
          ["Offers", `${cores(node.cpu_millicores)}, ${mebibytes(node.memory_mb)} memory, ${mebibytes(node.disk_mb)} disk`],
          ["Graphics", node.gpus > 0 ? `${node.gpus}: ${node.gpu_info}` : "none"],
          ["Runs with", node.runtime],
          ["Runs", node.kinds.join(", ") || "nothing"],
          ["Isolation", node.isolation],
          ["Network", node.network.length === 0 ? "tasks reach nothing" : node.network.join(", ")],
          ["Labels", node.labels.join(", ") || "none"],
          ["Speed of a core", node.speed > 0 ? `${node.speed.toFixed(2)} of the pool's mean${node.speed_in_tasks > 0 ? `, ${node.speed_in_tasks.toFixed(2)} in tasks` : ""}` : "not measured yet"],
        ]}
      />
    </Card>
  );
}

function Trust({ node }: { node: NodeSummary }) {
  return (
    <Card title="Trust and level">
      <Facts
        facts={[
          ["Trust", <TrustBadge key="trust" trust={node.trust} />],
          ["Verified results", `${count(node.verified_results)} in a row`],
          ["Wrong results", `${count(node.wrong_results)} in its life`],
          node.trust === "new" ? ["Left today", `${count(node.quota_left)} attempts, as it is new`] : null,
          ["Level", node.level],
          ["Alive", duration(node.runtime_ms)],
          ["To the next level", node.next_level_ms > 0 ? duration(node.next_level_ms) : "it has the highest"],
        ]}
      />
    </Card>
  );
}
