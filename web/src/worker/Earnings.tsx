import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { PageHeader } from "../app/PageHeader";
import { chartCpt, cptUnit } from "../lib/money";
import { count, duration, moment } from "../lib/units";
import { Card, Chart, EmptyState, ErrorBox, Money, Moment, Skeleton, Table, type Column, type Series } from "../ui";
import { Tile, Tiles } from "../ui/Tile";
import { multiplier } from "./model/levels";
import type { Earnings as Earned, Reward } from "./model/types";
import { earningsQuery } from "./queries";

/** What this machine earned, and for what. */
export default function Earnings() {
  const earnings = useQuery(earningsQuery);
  return (
    <>
      <PageHeader tab="Earnings" title="Earnings" lead="What this machine earned, as its pool has booked it" />
      {earnings.error ? <ErrorBox error={earnings.error} what="The pool did not tell what this machine earned." onRetry={() => void earnings.refetch()} /> : null}
      {earnings.data ? <Shown earned={earnings.data} /> : earnings.error ? null : <Skeleton lines={8} />}
    </>
  );
}

function Shown({ earned }: { earned: Earned }) {
  return (
    <>
      <Tiles label="Earned">
        <Tile name="Today" note={<>of it <Money micro={earned.work_today_micro} /> for work; since midnight UTC</>}><Money micro={earned.earned_today_micro} /></Tile>
        <Tile name="By what runs now" note="not paid yet"><Money micro={earned.pending_micro} /></Tile>
        <Tile name="In this machine’s life" note={<>of it <Money micro={earned.work_total_micro} /> for work</>}><Money micro={earned.earned_total_micro} /></Tile>
      </Tiles>
      <Rewards rewards={earned.rewards} />
      <Card title="How a reward comes about">
        <p className="text-ink-2 max-w-prose">
          Work is paid by those who asked for it, by what it used. Besides, the pool rewards each period: 10 CPT for every hour that the machine was alive, as much as half of that again for
          work that was completed, up to 30 % of it for staying, and 5 CPT for each complex task; all of it times the factor of the machine&rsquo;s level.
        </p>
      </Card>
    </>
  );
}

const COLUMNS: Column<Reward>[] = [
  { id: "to", head: "Period until", cell: (reward) => <Moment atMs={reward.to_unix_ms} /> },
  { id: "alive", head: "Alive", numeric: true, cell: (reward) => duration(reward.alive_ms) },
  { id: "attempts", head: "Accepted", numeric: true, wideOnly: true, cell: (reward) => `${count(reward.attempts_completed)} of ${count(reward.attempts_ended)}` },
  { id: "base", head: "For being there", numeric: true, wideOnly: true, cell: (reward) => <Money micro={reward.base_micro} /> },
  { id: "performance", head: "For work", numeric: true, wideOnly: true, cell: (reward) => <Money micro={reward.performance_micro} /> },
  { id: "stability", head: "For staying", numeric: true, wideOnly: true, cell: (reward) => <Money micro={reward.stability_micro} /> },
  { id: "quality", head: "For complex tasks", numeric: true, wideOnly: true, cell: (reward) => <Money micro={reward.quality_micro} /> },
  { id: "factor", head: "Factor", numeric: true, cell: (reward) => <span title={reward.level}>{multiplier(reward.multiplier_tenths)}</span> },
  { id: "total", head: "Reward", numeric: true, cell: (reward) => <strong className="font-semibold"><Money micro={reward.total_micro} /></strong> },
];

function Rewards({ rewards }: { rewards: Reward[] }) {
  const chart = useMemo(() => {
    const oldest = [...rewards].reverse();
    const series: Series[] = [{ name: "Reward", token: "accent", values: oldest.map((reward) => chartCpt(reward.total_micro)), fill: true, stepped: true }];
    return { times: oldest.map((reward) => reward.to_unix_ms / 1000), series };
  }, [rewards]);
  const last = rewards[0];
  return (
    <Card title="Rewards" flush>
      {last && rewards.length > 1 ? (
        <div className="px-4 pb-3">
          <Chart summary={`Rewards of the last ${rewards.length} periods; the newest, until ${moment(last.to_unix_ms)}, is ${cptUnit(last.total_micro)}.`} times={chart.times} series={chart.series} unit="CPT" height={150} />
        </div>
      ) : null}
      <Table caption="Rewards by period, newest first" columns={COLUMNS} rows={rewards} rowKey={(reward) => String(reward.from_unix_ms)} empty={<EmptyState title="No reward yet">The first comes at the end of the pool&rsquo;s reward period.</EmptyState>} />
    </Card>
  );
}
