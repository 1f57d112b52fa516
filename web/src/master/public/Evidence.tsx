import paper from "../../../../docs/EVIDENCE.md?raw";
import { PageHeader } from "../../app/PageHeader";
import { Code, Table } from "../../ui";
import { figureWords, readEvidence } from "./figures";

const evidence = readEvidence(paper);

/** What was measured, beside what others do, and how to do it again. */
export default function EvidencePage() {
  return (
    <div className="flex flex-col gap-5 py-6">
      <PageHeader tab="Evidence" title="Evidence" lead="What was measured, how, and beside whom. Every figure comes from one command that anybody can run; a peer ran in the same run on the same machine, so the ratio says more than the value." />
      <div className="card">
        <Table
          caption="figures"
          rowKey={(row) => row.names.join(" ")}
          rows={evidence.figures}
          columns={[
            { id: "what", head: "Figure", cell: (row) => <><span className="font-medium">{row.names.map(figureWords).join(", ")}</span><code className="text-ink-3 block font-mono text-[0.93em]">make bench ONLY={row.names[0]}</code></> },
            { id: "value", head: "HiveMind", numeric: true, cell: (row) => <span className="font-semibold">{row.value}</span> },
            { id: "peer", head: "Peer, same run", cell: (row) => <span className="text-ink-2">{row.peer === "-" ? "\u2013" : row.peer}</span>, wideOnly: true },
            { id: "ratio", head: "Ratio", numeric: true, cell: (row) => (row.ratio === "-" ? "\u2013" : row.ratio) },
            { id: "load", head: "Load", numeric: true, cell: (row) => row.load, wideOnly: true },
          ]}
        />
      </div>
      <p className="text-ink-2 max-w-prose">{evidence.about}</p>
      <section aria-labelledby="again" className="flex max-w-prose flex-col gap-2">
        <h2 id="again" className="text-xl font-semibold">Measure it again</h2>
        <p className="text-ink-2">In a checkout of the sources, with Docker. The first build takes some minutes. How each figure is measured, and what it does not say, is in docs/EVIDENCE.md there.</p>
        <Code what="Commands" text={"make bench                       # all of them\nmake bench ONLY=idle_latency_p50  # one"} />
      </section>
    </div>
  );
}
