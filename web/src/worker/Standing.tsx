import { useQuery } from "@tanstack/react-query";
import { Check } from "lucide-react";
import { PageHeader } from "../app/PageHeader";
import { count, duration, moment, plural } from "../lib/units";
import { Badge, Card, cx, ErrorBox, Facts, Progress, Skeleton } from "../ui";
import { Verdict } from "../ui/Verdict";
import { levelPlace, LEVELS, multiplier } from "./model/levels";
import type { Earnings } from "./model/types";
import { earningsQuery } from "./queries";

/** Level and trust of this machine, and what comes next. */
export default function Standing() {
  const earnings = useQuery(earningsQuery);
  return (
    <>
      <PageHeader tab="Standing" title="Standing" lead="How long this machine has served, and what its work has shown" />
      {earnings.error ? <ErrorBox error={earnings.error} what="The pool did not tell how this machine stands." onRetry={() => void earnings.refetch()} /> : null}
      {earnings.data ? <Shown earned={earnings.data} /> : earnings.error ? null : <Skeleton lines={8} />}
    </>
  );
}

const SERVICE: Record<string, { title: string; text: string }> = {
  cordoned: { title: "It gets no new work", text: "You or an operator of the pool cordoned it; what runs goes on." },
  draining: { title: "It is being drained", text: "It gets no new work; what still runs at the deadline is tried elsewhere." },
  banned: { title: "The operators of the pool have banned it", text: "Ask them what to do." },
};

function Shown({ earned }: { earned: Earnings }) {
  const service = SERVICE[earned.service];
  return (
    <>
      {service ? <Verdict tone={earned.service === "banned" ? "bad" : "wait"} title={service.title}>{earned.service_reason ? `Reason: ${earned.service_reason}. ` : ""}{service.text}</Verdict> : null}
      {earned.resting_until_unix_ms === null ? null : <Verdict tone="wait" title="It rests">Too many tasks failed in a row here. It gets work again at {moment(earned.resting_until_unix_ms)}.</Verdict>}
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <Level earned={earned} />
        <Trust earned={earned} />
      </div>
    </>
  );
}

function Level({ earned }: { earned: Earnings }) {
  const place = levelPlace(earned.level, earned.runtime_ms, earned.next_level_ms);
  return (
    <Card title="Level">
      <div className="flex flex-col gap-4">
        <div>
          <p className="text-2xl font-semibold tracking-tight">{place.level.name}</p>
          <p className="text-ink-2">
            {place.next === null
              ? "The highest there is."
              : `${Math.ceil(place.hoursLeft).toLocaleString("en")} hours to ${place.next.name}.`} Alive for {duration(earned.runtime_ms)} so far.
          </p>
        </div>
        {place.next === null ? null : <Progress percent={place.part * 100} label={`Way to ${place.next.name}`} tone="ok" />}
        <ol className="flex flex-col">
          {LEVELS.map((level, index) => {
            const isReached = index <= LEVELS.indexOf(place.level);
            const isHere = level === place.level;
            return (
              <li key={level.id} aria-current={isHere ? "step" : undefined} className={cx("border-line flex items-center gap-3 border-b px-1 py-2 last:border-0", isHere && "font-medium")}>
                <span className={cx("grid size-6 shrink-0 place-items-center rounded-full", isReached ? "bg-ok-soft text-ok" : "bg-off-soft text-off")}>
                  {isReached ? <Check aria-hidden className="size-3.5" /> : <span aria-hidden>{index}</span>}
                </span>
                <span className="w-28 shrink-0">{level.name}<span className="sr-only">{isReached ? ", reached" : ""}</span></span>
                <span className="text-ink-2 w-20 shrink-0 text-right">{level.hours === 0 ? "" : `${count(level.hours)} h`}</span>
                <span className="w-12 shrink-0 text-right" title="Factor of rewards">{multiplier(level.multiplierTenths)}</span>
                <span className="text-ink-2 min-w-0 max-sm:hidden">{level.gives}</span>
              </li>
            );
          })}
        </ol>
      </div>
    </Card>
  );
}

const TRUST: { id: string; name: string; means: string }[] = [
  { id: "new", name: "New", means: "A bounded number of attempts a day; its results are compared with others’." },
  { id: "known", name: "Known", means: "Ten right results; any number of attempts a day." },
  { id: "trusted", name: "Trusted", means: "A hundred right results; its work is checked less often." },
  { id: "proven", name: "Proven", means: "A thousand right results; spot checks only." },
];

function Trust({ earned }: { earned: Earnings }) {
  const at = TRUST.findIndex((one) => one.id === earned.trust);
  return (
    <Card title="Trust">
      <div className="flex flex-col gap-4">
        <div>
          <p className="text-2xl font-semibold tracking-tight">{TRUST[at]?.name ?? earned.trust}</p>
          <p className="text-ink-2">{TRUST[at]?.means}</p>
        </div>
        <Facts
          facts={[
            ["Right results", `${count(earned.verified_results)} in a row`],
            ["Wrong results", `${count(earned.wrong_results)} in its life`],
            earned.trust === "new" ? ["Left today", plural(earned.quota_left, "attempt")] : null,
          ]}
        />
        <ol className="flex flex-wrap gap-2">
          {TRUST.map((one, index) => (
            <li key={one.id} aria-current={index === at ? "step" : undefined}><Badge tone={index === at ? "ok" : "off"}>{one.name}{index <= at ? <span className="sr-only">, reached</span> : null}</Badge></li>
          ))}
        </ol>
        <p className="text-ink-2 max-w-prose">Trust grows with results that others confirmed. Each wrong one halves it, and it starts again from nothing; so do all machines of the same owner. It decides how often work is checked, and which tasks come here.</p>
      </div>
    </Card>
  );
}
