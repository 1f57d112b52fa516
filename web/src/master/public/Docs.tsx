import { PageHeader } from "../../app/PageHeader";

const PAPERS = [
  ["API.md", "The API, call by call"],
  ["ARRAYS.md", "Arrays, dependencies, graphs"],
  ["DATA.md", "Files, images and results"],
  ["WASM.md", "WebAssembly modules"],
  ["NETWORK.md", "The network of a task"],
  ["ECONOMY.md", "How money moves"],
  ["VERIFICATION.md", "How results are verified, and what trust is"],
  ["OWNER.md", "For owners of machines"],
  ["SELFTEST.md", "What a worker promises its owner, and how each promise is attacked"],
  ["DEPLOYMENT.md", "Running a pool"],
  ["TROUBLESHOOTING.md", "When something does not work"],
  ["ARCHITECTURE.md", "How it is built"],
] as const;

/** Where to read on: the API's own pages here, the papers in the sources. */
export default function Docs() {
  return (
    <div className="flex flex-col gap-5 py-6">
      <PageHeader tab="Docs" title="Docs" />
      <div className="grid items-start gap-4 md:grid-cols-2">
        <section aria-labelledby="here" className="card flex flex-col gap-2 p-5">
          <h2 id="here" className="text-[1.14rem] font-semibold">On this server</h2>
          <ul className="flex flex-col gap-1.5">
            <li><a href="/api/docs" className="link">Every call of the REST API</a>, with its fields and answers</li>
            <li><a href="/api/v1/openapi.json" className="link">The same as an OpenAPI document</a>, for programs</li>
          </ul>
          <p className="text-ink-2">In a terminal, <code>hivemind --help</code> and <code>hivemind help VERB</code>; when something is wrong, <code>hivemind doctor</code> says what and how to put it right.</p>
        </section>
        <section aria-labelledby="papers" className="card flex flex-col gap-2 p-5">
          <h2 id="papers" className="text-[1.14rem] font-semibold">In the sources, under docs/</h2>
          <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1">
            {PAPERS.map(([file, words]) => (
              <div key={file} className="contents"><dt className="font-mono text-[0.93em]">{file}</dt><dd className="text-ink-2">{words}</dd></div>
            ))}
          </dl>
        </section>
      </div>
    </div>
  );
}
