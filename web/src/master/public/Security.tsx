import type { ReactNode } from "react";
import { PageHeader } from "../../app/PageHeader";

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="card flex flex-col gap-2 p-5">
      <h2 className="text-[1.14rem] font-semibold">{title}</h2>
      <ul className="text-ink-2 flex list-disc flex-col gap-1.5 pl-5">{children}</ul>
    </section>
  );
}

/** Who is kept from what, and what is not promised, in plain words. */
export default function Security() {
  return (
    <div className="flex flex-col gap-5 py-6">
      <PageHeader tab="Security" title="Security in plain words" lead="Who is kept from what, how, and what nobody should rely on." />
      <div className="grid gap-4 md:grid-cols-2">
        <Part title="Your machine, from other people&rsquo;s tasks">
          <li>A task runs in a container without rights: no network unless you allow it, a read-only system, no devices, no folders of yours, limits on processor, memory, disk and processes.</li>
          <li>It never reaches private addresses or your own network, even where a task may use the network.</li>
          <li>At its first start your worker attacks its own walls, and takes work only where they held.</li>
          <li>A task ends when its lease does, by your machine&rsquo;s own clock, and a reaper outlives the worker.</li>
        </Part>
        <Part title="Your task, from other people">
          <li>What is yours does not exist for anybody else: tasks, files, logs and balances of others answer &ldquo;there is no such thing&rdquo;.</li>
          <li>The owner of a machine can look at what runs there. Do not send secrets to strangers&rsquo; machines, or ask for machines of a trust that you choose.</li>
          <li>Where a result must be right, copies run on machines of different owners, and only what agrees counts.</li>
        </Part>
        <Part title="Your money">
          <li>The most that a task can cost is set aside before it starts, and never more is taken.</li>
          <li>Every movement has two sides in one journal. Its entries form a chain of digests, so that a change of the past shows.</li>
          <li>A request that is repeated because an answer was lost moves nothing twice.</li>
          <li>What fails through a machine&rsquo;s fault is not paid.</li>
        </Part>
        <Part title="Your account">
          <li>Passwords are kept as Argon2id only; guessing is limited for each account and each address.</li>
          <li>In the browser a session is a cookie that scripts cannot read; every change carries a token that other sites do not have.</li>
          <li>These pages run no script but their own and load nothing from anywhere else.</li>
          <li>Names, logs and file names of tasks are shown as text, whatever they contain.</li>
        </Part>
        <Part title="What is not promised">
          <li>A hole in the kernel is a way out of a container: give the worker a machine that holds nothing dear.</li>
          <li>The operator of the pool sees everything that goes through it.</li>
          <li>A flood of connections is for a firewall to stop.</li>
        </Part>
        <Part title="You found a hole?">
          <li>Tell the maintainers privately, with what an attacker needs and gets and how to see it. Please publish after there is a fixed release.</li>
          <li>The whole list, with what is known to be missing, is SECURITY.md in the sources.</li>
        </Part>
      </div>
    </div>
  );
}
