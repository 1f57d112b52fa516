import type { Quote } from "../../api/types";
import { duration, plural } from "../../lib/units";
import { Money } from "../../ui";

/** What it would cost, what that is made of, and who could run it. */
export function QuoteView({ quote }: { quote: Quote }) {
  return (
    <div role="status" className="bg-sunken border-line flex flex-col gap-2 rounded-md border p-3">
      <p>
        At most <strong><Money micro={quote.price_cap_micro} /></strong>
        {quote.expected_micro !== "0" ? <>; likely <Money micro={quote.expected_micro} /> ({quote.expected_basis}{quote.expected_wall_ms > 0 ? `, ${duration(quote.expected_wall_ms)}` : ""})</> : null}.{" "}
        {plural(quote.nodes_capable, "machine")} could run it, {quote.nodes_free} {quote.nodes_free === 1 ? "has" : "have"} room now.
      </p>
      {quote.waiting_reason ? <p className="text-wait">It would wait: {quote.waiting_reason}</p> : null}
      <ul className="text-ink-2 flex flex-wrap gap-x-5">
        {quote.lines.map((line) => (
          <li key={line.what}>{line.quantity || line.what}: <Money micro={line.amount_micro} /></li>
        ))}
      </ul>
    </div>
  );
}
