import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { request } from "../../api/client";
import { fieldError } from "../../api/problem";
import { isUnanswered, useSubmission } from "../../api/submission";
import { Unanswered } from "../../app/Unanswered";
import { useDraft } from "../../lib/draft";
import { cptUnit } from "../../lib/money";
import { Button, Card, Confirm, ErrorBox, Field, Name, useToast } from "../../ui";
import { checkPay, type PayFaults } from "./pay";

const EMPTY = { to: "", amount: "" };

/** Gives CPT to another user. A repeat after a lost answer moves nothing twice, also after a reload. */
export function Transfer({ transferable }: { transferable: string | null }) {
  const [draft, change, clear] = useDraft("transfer", EMPTY);
  const [faults, setFaults] = useState<PayFaults>({});
  const [error, setError] = useState<unknown>(null);
  const [asked, setAsked] = useState<{ to_username: string; amount_micro: string } | null>(null);
  const submission = useSubmission("transfer");
  const client = useQueryClient();
  const say = useToast();
  const checked = checkPay(draft.to, draft.amount, transferable);
  const content = checked.ok ? { to_username: draft.to.trim(), amount_micro: checked.micro } : null;
  const unanswered = (of: typeof content) => <Unanswered standing={submission.standing(of)} where="your statement" onForget={submission.forget} />;
  const ask = (event: FormEvent) => {
    event.preventDefault();
    setFaults(checked.ok ? {} : checked.faults);
    setError(null);
    setAsked(content);
  };
  const send = async () => {
    if (!asked) return;
    try {
      await submission.send(asked, (key) => request("/wallet/transfers", { method: "POST", body: asked, idempotencyKey: key }));
    } catch (failure) {
      setError(failure);
      throw failure;
    }
    say("ok", <>{cptUnit(asked.amount_micro)} went to <Name>{asked.to_username}</Name></>);
    clear();
    await client.invalidateQueries({ queryKey: ["wallet"] });
  };
  return (
    <Card title="Give CPT to somebody">
      <form noValidate onSubmit={ask} className="flex flex-col gap-3">
        <Field label="To" placeholder="user name" maxLength={32} autoCapitalize="none" spellCheck={false} value={draft.to} error={faults.to ?? fieldError(error, "to_username")} onChange={(event) => change({ to: event.target.value })} />
        <Field label="Amount" unit="CPT" inputMode="decimal" maxLength={24} value={draft.amount} error={faults.amount ?? fieldError(error, "amount_micro")} hint={transferable === null ? undefined : `You can give away ${cptUnit(transferable)}.`} onChange={(event) => change({ amount: event.target.value })} />
        {error === null ? null : <ErrorBox error={error} what={isUnanswered(error) ? "No answer came: it may have moved already." : "Nothing moved."} />}
        {asked === null ? unanswered(content) : null}
        <Button type="submit" look="primary">Give</Button>
      </form>
      <Confirm open={asked !== null} title="Give it away?" action={`Give ${asked ? cptUnit(asked.amount_micro) : ""}`} onConfirm={send} onClose={() => setAsked(null)}>
        <p><strong><Name>{asked?.to_username ?? ""}</Name></strong> gets <strong>{asked ? cptUnit(asked.amount_micro) : ""}</strong>. This cannot be taken back.</p>
        {unanswered(asked)}
      </Confirm>
    </Card>
  );
}
