import { useState } from "react";
import type { SubmitTask } from "../../api/types";
import { Code, Tabs } from "../../ui";
import { asCli, asCurl, asPython } from "./model";

const EXAMPLE: SubmitTask = { task_name: "", docker_image: "busybox", argv: ["echo", "hello"], required_cpu_cores: 1, required_memory: 512, max_runtime: 900 };

/** The same task from a terminal, over HTTP, from Python; follows what is typed. */
export function ThreeWays({ task }: { task: SubmitTask | null }) {
  const [open, setOpen] = useState("cli");
  const shown = task ?? EXAMPLE;
  const { origin } = window.location;
  return (
    <section aria-label="The same from elsewhere" className="border-line mt-4 border-t pt-3">
      <p className="text-ink-2 mb-1">{task ? "The same from elsewhere" : "The same from elsewhere, with an example"}; for curl and Python put an API key into <code>HIVEMIND_KEY</code>.</p>
      <Tabs
        label="Ways to run it"
        value={open}
        onValue={setOpen}
        tabs={[
          { id: "cli", label: "Terminal", content: <Code what="Command line" text={asCli(shown)} /> },
          { id: "curl", label: "curl", content: <Code what="Call with curl" text={asCurl(shown, origin)} /> },
          { id: "python", label: "Python", content: <Code what="Python program" text={asPython(shown, origin)} /> },
        ]}
      />
    </section>
  );
}
