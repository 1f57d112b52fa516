import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { request } from "../../api/client";
import { walletQuery } from "../../api/queries";
import type { Page, StatementLine } from "../../api/types";
import { cptUnit } from "../../lib/money";
import { moment } from "../../lib/units";
import { Card, Chart, ErrorBox, Skeleton } from "../../ui";
import { walletPoints } from "./points";

const LIMIT = 1000;

/** What could be spent and what was held, over the newest entries. */
export function WalletChart() {
  const wallet = useQuery(walletQuery);
  const lines = useQuery({
    queryKey: ["statement", "chart"],
    queryFn: ({ signal }) => request<Page<StatementLine>>("/wallet/statement", { query: { limit: LIMIT }, signal }),
  });
  const told = lines.data;
  const points = useMemo(
    () => (told && wallet.data ? walletPoints(told.items, { spendable: wallet.data.balance_micro, held: wallet.data.held_micro }, Date.now()) : null),
    [told, wallet.data],
  );
  if (lines.isError) return <ErrorBox error={lines.error} what="The chart has no data." onRetry={() => void lines.refetch()} />;
  const first = points?.times[0];
  return (
    <Card title="Balance over time">
      {points && wallet.data && first !== undefined ? (
        <Chart
          unit="CPT"
          times={points.times}
          summary={`Since ${moment(first * 1000)}: ${cptUnit(wallet.data.balance_micro)} available and ${cptUnit(wallet.data.held_micro)} held now. The statement below has every step.`}
          series={[
            { name: "Available", token: "accent", values: points.spendable, fill: true, stepped: true },
            { name: "Held", token: "run", values: points.held, stepped: true },
          ]}
        />
      ) : <Skeleton lines={6} />}
    </Card>
  );
}
