import { useQuery } from "@tanstack/react-query";
import { Coins, Cpu, ShieldCheck, SquareTerminal } from "lucide-react";
import type { ReactNode } from "react";
import { Link, Navigate } from "react-router";
import { publicQuery } from "../../api/queries";
import { useSession } from "../../api/session";
import type { PublicCounters } from "../../api/types";
import { useTitle } from "../../app/title";
import { count } from "../../lib/units";
import { Code, ErrorBox } from "../../ui";

const COUNTERS: readonly (readonly [Exclude<keyof PublicCounters, "counting">, string])[] = [
  ["nodes_online", "machines online"], ["cores_online", "cores online"], ["tasks_completed", "tasks completed"],
  ["elements_completed", "elements completed"], ["cpu_hours", "processor hours"], ["users", "people"],
];

function Counters() {
  const counters = useQuery({ ...publicQuery, retry: 1 });
  if (counters.isError) return <ErrorBox error={counters.error} what="The pool's numbers could not be read." onRetry={() => void counters.refetch()} />;
  return (
    <section aria-label="This pool now">
      <dl className="card grid grid-cols-2 gap-px overflow-hidden sm:grid-cols-3 lg:grid-cols-6">
        {COUNTERS.map(([name, words]) => (
          <div key={name} className="flex flex-col-reverse justify-end px-3.5 py-4">
            <dt className="text-ink-2">{words}</dt>
            <dd className="text-xl font-semibold tracking-tight whitespace-nowrap">{counters.data ? count(counters.data[name]) : "\u2013"}</dd>
          </div>
        ))}
      </dl>
      {counters.data?.counting ? <p className="text-ink-3 mt-2">The pool has just started and is still counting its past: these numbers will grow.</p> : null}
    </section>
  );
}

function Promise({ icon, title, children }: { icon: ReactNode; title: string; children: ReactNode }) {
  return (
    <li className="flex flex-col gap-1.5">
      <span className="bg-wait-soft text-wait mb-1 grid size-9 place-items-center rounded-lg">{icon}</span>
      <h3 className="text-[1.07rem] font-semibold">{title}</h3>
      <p className="text-ink-2">{children}</p>
    </li>
  );
}

const STEPS = [
  ["Hand in", "An image or a WebAssembly module, a command, files. One task, or an array of a million elements."],
  ["It runs", "The pool finds machines that are big enough and have room, tells why anything waits, and tries elsewhere when one goes away."],
  ["It comes back", "Logs while it runs, files when it is done. You pay for what was used, never more than the cap you saw before."],
] as const;

/** The first page: what this is, in plain words, and how it is doing now. */
export default function Landing() {
  useTitle("");
  const { session } = useSession();
  if (session.state === "signed-in") return <Navigate to="/home" replace />;
  return (
    <div className="flex flex-col gap-14 py-6">
      <section className="grid items-center gap-8 *:min-w-0 lg:grid-cols-[1.15fr_1fr]">
        <div className="flex flex-col gap-4">
          <h1 tabIndex={-1} className="text-4xl leading-tight font-semibold tracking-tight">Idle machines, pooled.<br />Your work, done by them.</h1>
          <p className="text-ink-2 max-w-prose text-[1.14rem]">
            HiveMind runs containers and WebAssembly modules on machines that would otherwise stand still. You say what to run; a machine takes it, the result comes back, and its owner is paid for it.
          </p>
          <div className="flex flex-wrap items-center gap-3">
            <Link to="/register" className="bg-accent text-on-accent hover:bg-accent-hover rounded-md px-4 py-2 text-[1.07rem] font-semibold">Make an account</Link>
            <Link to="/login" className="border-line-strong bg-surface hover:bg-hover rounded-md border px-4 py-2 text-[1.07rem]">Sign in</Link>
            <span className="text-ink-3">Free credit to begin with. No card.</span>
          </div>
        </div>
        <Code what="A first task in a terminal" className="p-4" text={"$ hivemind run busybox echo hello\nhello\n\n$ hivemind submit --array 1-1000 \\\n    busybox sh -c 'echo $HIVEMIND_INDEX'\ntask_12\n\n$ hivemind fetch task_12"} />
      </section>
      <Counters />
      <section aria-labelledby="how" className="flex flex-col gap-4">
        <h2 id="how" className="text-2xl font-semibold tracking-tight">How it goes</h2>
        <ol className="grid gap-4 md:grid-cols-3">
          {STEPS.map(([title, words], at) => (
            <li key={title} className="card flex flex-col gap-1 p-5">
              <span className="text-link font-semibold">{at + 1}</span>
              <h3 className="text-[1.14rem] font-semibold">{title}</h3>
              <p className="text-ink-2">{words}</p>
            </li>
          ))}
        </ol>
      </section>
      <section aria-labelledby="promises" className="flex flex-col gap-4">
        <h2 id="promises" className="text-2xl font-semibold tracking-tight">What it promises</h2>
        <ul className="grid gap-6 sm:grid-cols-2 lg:grid-cols-4">
          <Promise icon={<SquareTerminal aria-hidden className="size-5" />} title="Nothing is lost">A task that was accepted is on disk before you are told so. It ends completed, failed or cancelled, whatever is switched off meanwhile.</Promise>
          <Promise icon={<Coins aria-hidden className="size-5" />} title="The books balance">Every movement of money has two sides, to the millionth of a CPT. Nothing is paid twice, and anybody can check the journal&rsquo;s chain.</Promise>
          <Promise icon={<ShieldCheck aria-hidden className="size-5" />} title="Locked in">No network, no rights, a read-only system, limits on everything. Each worker attacks its own walls before it takes work.</Promise>
          <Promise icon={<Cpu aria-hidden className="size-5" />} title="Owners stay owners">A machine works when its owner is away and stops at a click. Its owner sees in one sentence what it does.</Promise>
        </ul>
        <p><Link to="/evidence" className="link">What was measured, and how to measure it again</Link></p>
      </section>
    </div>
  );
}
