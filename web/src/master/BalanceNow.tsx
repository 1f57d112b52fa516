import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { walletQuery } from "../api/queries";
import { Money } from "../ui";

/** What can be spent now; follows the wallet's events. */
export function BalanceNow() {
  const wallet = useQuery(walletQuery);
  if (!wallet.data) return null;
  return (
    <Link to="/wallet" className="hover:bg-hover rounded-md px-2 py-1 font-medium" title="Available">
      <span className="sr-only">Available: </span>
      <Money micro={wallet.data.balance_micro} />
    </Link>
  );
}
