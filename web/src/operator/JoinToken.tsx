import { useMutation } from "@tanstack/react-query";
import { KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import { request } from "../api/client";
import { useNow } from "../lib/now";
import { duration } from "../lib/units";
import { Button, Code, Dialog, ErrorBox, Select } from "../ui";
import type { JoinToken } from "./model/types";

const LIVES = [
  { value: "300", text: "5 minutes" },
  { value: "900", text: "15 minutes" },
];

/** Makes a token with which one machine joins. */
export function JoinButton() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button look="primary" icon={<Plus aria-hidden className="size-4" />} onClick={() => setOpen(true)}>Add a machine</Button>
      {open ? <JoinDialog onClose={() => setOpen(false)} /> : null}
    </>
  );
}

function JoinDialog({ onClose }: { onClose: () => void }) {
  const [seconds, setSeconds] = useState("900");
  const make = useMutation({
    mutationFn: () => request<JoinToken>("/nodes/join-tokens", { method: "POST", body: { valid_seconds: Number(seconds) } }),
  });
  return (
    <Dialog open title="Add a machine" onClose={onClose} wide>
      {make.data ? <Made token={make.data} /> : (
        <>
          <p className="text-ink-2">A machine joins with a token. It works once, carries the address of this pool and the fingerprint of its certificate authority, and the machine will earn for you.</p>
          <Select label="The token is valid for" options={LIVES} value={seconds} onValue={setSeconds} className="max-w-56" />
          {make.error ? <ErrorBox error={make.error} what="No token was made." /> : null}
          <div className="flex justify-end gap-2">
            <Button onClick={onClose}>Not now</Button>
            <Button look="primary" busy={make.isPending} icon={<KeyRound aria-hidden className="size-4" />} onClick={() => make.mutate()}>Make a token</Button>
          </div>
        </>
      )}
    </Dialog>
  );
}

function Made({ token }: { token: JoinToken }) {
  const left = token.expires_at_unix_ms - useNow();
  return (
    <>
      <p className="text-ink-2">Paste this on the machine, as the user who will run the worker. The token is shown this once.</p>
      <Code text={`hivemind worker --join ${token.join_token}`} what="the command" />
      <p role="status" className={left > 0 ? "text-ink-2" : "text-bad font-medium"}>
        {left > 0 ? `Valid for ${duration(Math.floor(left / 1000) * 1000)}. The machine appears here once it has joined.` : "It is no longer valid. Close this and make another."}
      </p>
      <p className="text-ink-3">Before its first task the worker attacks its own isolation and shows what held. Docker is used where it answers, else the built-in runtime.</p>
    </>
  );
}
