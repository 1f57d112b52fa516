import { useQuery } from "@tanstack/react-query";
import { walletQuery } from "../../api/queries";
import type { Balance } from "../../api/types";
import { PageHeader } from "../../app/PageHeader";
import { ErrorBox, Figure, Money, Skeleton } from "../../ui";
import { Holds } from "./Holds";
import { Projects } from "./Projects";
import { Statement } from "./Statement";
import { Transfer } from "./Transfer";
import { WalletChart } from "./WalletChart";

function Numbers({ wallet }: { wallet: Balance }) {
  return (
    <dl className="card grid grid-cols-2 gap-4 p-4 sm:grid-cols-3 lg:grid-cols-6">
      <Figure name="Available"><Money micro={wallet.balance_micro} /></Figure>
      <Figure name="Free credit" note="part of it, for tasks only"><Money micro={wallet.promo_micro} /></Figure>
      <Figure name="To give away" note="part of it"><Money micro={wallet.transferable_micro} /></Figure>
      <Figure name="Held" note="for open tasks"><Money micro={wallet.held_micro} /></Figure>
      <Figure name="Being earned" note="by what runs on your machines"><Money micro={wallet.pending_micro} /></Figure>
      <Figure name="Vesting" note="earned, free later"><Money micro={wallet.vesting_micro} /></Figure>
    </dl>
  );
}

export default function Wallet() {
  const wallet = useQuery(walletQuery);
  return (
    <>
      <PageHeader tab="Wallet" title="Wallet" lead="Every movement is one side of a balanced entry in the pool's journal." />
      {wallet.isPending ? <Skeleton /> : null}
      {wallet.isError ? <ErrorBox error={wallet.error} what="Your balance could not be read." onRetry={() => void wallet.refetch()} /> : null}
      {wallet.data ? <Numbers wallet={wallet.data} /> : null}
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
        <div className="flex min-w-0 flex-col gap-4">
          <WalletChart />
          <Statement />
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          <Transfer transferable={wallet.data?.transferable_micro ?? null} />
          <Holds />
          <Projects transferable={wallet.data?.transferable_micro ?? null} />
        </div>
      </div>
    </>
  );
}
