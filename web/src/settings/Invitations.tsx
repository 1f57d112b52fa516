import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { moment } from "../lib/units";
import { Button, Card, Code, ErrorBox, Select } from "../ui";
import { NumberField } from "../ui/NumberField";
import { invite } from "./queries";

const LIVES = [
  { value: "86400", text: "1 day" },
  { value: "604800", text: "1 week" },
  { value: "2592000", text: "30 days" },
];

/** Codes with which people can register; operators make them. */
export function Invitations() {
  const [uses, setUses] = useState<number | null>(1);
  const [life, setLife] = useState("604800");
  const [fault, setFault] = useState<string | undefined>(undefined);
  const make = useMutation({ gcTime: 0, mutationFn: () => invite({ uses: uses ?? 1, valid_seconds: Number(life) }) });
  const send = () => {
    const isRight = uses !== null && uses >= 1 && uses <= 1000;
    setFault(isRight ? undefined : "Write 1 to 1000.");
    if (isRight) make.mutate();
  };
  return (
    <Card title="Invitations">
      <div className="flex flex-col gap-4">
        <p className="text-ink-2">Where this pool asks for an invitation, people register with a code that you make.</p>
        <div className="grid gap-4 sm:grid-cols-2">
          <NumberField label="For so many accounts" unit="uses" value={uses} error={fault} onValue={setUses} />
          <Select label="Valid for" options={LIVES} value={life} onValue={setLife} />
        </div>
        <div><Button busy={make.isPending} onClick={send}>Make a code</Button></div>
        {make.error ? <ErrorBox error={make.error} what="No code was made." /> : null}
        {make.data ? (
          <div role="status" className="flex flex-col gap-1.5">
            <Code text={make.data.invitation} what="the invitation" />
            <p className="text-ink-3">Until {moment(make.data.expires_at_unix_ms)}.</p>
          </div>
        ) : null}
      </div>
    </Card>
  );
}
