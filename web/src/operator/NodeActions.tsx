import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { request } from "../api/client";
import { useMe } from "../api/session";
import { Button, Confirm, Select, TextArea, useToast } from "../ui";
import { CHANGE_WORDS, changesFor, DRAIN_CHOICES, reasonFault, type NodeChange } from "./model/nodes";
import type { NodeSummary } from "./model/types";
import { nodesQuery } from "./queries";

const DONE: Record<NodeChange, string> = {
  cordon: "is cordoned",
  uncordon: "is back in service",
  drain: "drains",
  ban: "is banned",
  unban: "is no longer banned",
};

/** What can be done with a node; each asks first. */
export function NodeActions({ node }: { node: NodeSummary }) {
  const [asking, setAsking] = useState<NodeChange | null>(null);
  const isOperator = useMe().role === "operator";
  return (
    <div className="flex flex-wrap gap-2">
      {changesFor(node, isOperator).map((change) => (
        <Button key={change} small look={change === "ban" ? "danger" : "plain"} onClick={() => setAsking(change)}>{CHANGE_WORDS[change].verb}</Button>
      ))}
      {asking === null ? null : <Ask key={asking} node={node} change={asking} onClose={() => setAsking(null)} />}
    </div>
  );
}

function Ask({ node, change, onClose }: { node: NodeSummary; change: NodeChange; onClose: () => void }) {
  const client = useQueryClient();
  const say = useToast();
  const [seconds, setSeconds] = useState("600");
  const [reason, setReason] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const words = CHANGE_WORDS[change];
  const send = async () => {
    const wrong = change === "ban" ? reasonFault(reason) : null;
    setFault(wrong);
    if (wrong !== null) throw new Error("Nothing was sent yet.");
    await request(`/nodes/${encodeURIComponent(node.node_id)}/service`, {
      method: "POST",
      body: {
        change,
        ...(change === "drain" ? { deadline_seconds: Number(seconds) } : {}),
        ...(change === "ban" ? { reason: reason.trim() } : {}),
      },
    });
    say("ok", `${node.node_id} ${DONE[change]}.`);
    await client.invalidateQueries({ queryKey: nodesQuery.queryKey });
  };
  return (
    <Confirm open title={`${words.verb}: ${node.node_id}?`} action={words.verb} dangerous={words.isDangerous} onConfirm={send} onClose={onClose}>
      <p className="text-ink-2">{words.means}</p>
      {node.active_attempts > 0 && (change === "drain" || change === "ban") ? (
        <p>{node.active_attempts === 1 ? "1 attempt runs" : `${node.active_attempts} attempts run`} there now.</p>
      ) : null}
      {change === "drain" ? (
        <Select label="What runs may go on for" value={seconds} onValue={setSeconds} options={DRAIN_CHOICES.map((choice) => ({ value: String(choice.seconds), text: choice.label }))} />
      ) : null}
      {change === "ban" ? (
        <TextArea label="Reason" required rows={3} maxLength={200} value={reason} error={fault} hint="The owner of the machine reads it. At most 200 bytes." onChange={(event) => setReason(event.target.value)} />
      ) : null}
    </Confirm>
  );
}
