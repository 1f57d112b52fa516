import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Link, Navigate } from "react-router";
import { request } from "../../api/client";
import { fieldError, Problem } from "../../api/problem";
import { useSession } from "../../api/session";
import type { PoolInfo } from "../../api/types";
import { PageHeader } from "../../app/PageHeader";
import { useDraft } from "../../lib/draft";
import { Button, ErrorBox, Field } from "../../ui";
import { type Faults, signUpFaults } from "./rules";

const EMPTY = { username: "", email: "", invitation: "" };

export default function Register() {
  const { session, register } = useSession();
  const info = useQuery({ queryKey: ["pool"], queryFn: ({ signal }) => request<PoolInfo>("/pool", { signal }), retry: false });
  const [draft, change, clear] = useDraft("register", EMPTY);
  const [password, setPassword] = useState("");
  const [faults, setFaults] = useState<Faults>({});
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  if (session.state === "signed-in") return <Navigate to="/home" replace />;
  const invited = info.data?.invitation_needed === true;

  const send = async (event: FormEvent) => {
    event.preventDefault();
    const found = signUpFaults({ ...draft, password }, invited);
    setFaults(found);
    const wrong = Object.keys(found)[0];
    if (wrong) {
      form.current?.querySelector<HTMLInputElement>(`[name="${wrong}"]`)?.focus();
      return;
    }
    setBusy(true);
    setError(null);
    try {
      const invitation = draft.invitation.trim();
      await register({ username: draft.username, password, email: draft.email.trim(), ...(invitation ? { invitation } : {}) });
      clear();
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const wrong = (name: keyof Faults) => faults[name] ?? fieldError(error, name);
  const elsewhere = error !== null && !(error instanceof Problem && error.field !== null && error.field in { ...EMPTY, password });
  return (
    <div className="mx-auto flex w-full max-w-sm flex-col gap-5 py-8">
      <PageHeader tab="Make an account" title="Make an account" lead="You start with free credit, enough to try everything." />
      <form ref={form} noValidate onSubmit={(event) => void send(event)} className="card flex flex-col gap-3 p-5">
        <Field label="User name" name="username" required autoComplete="username" autoCapitalize="none" spellCheck={false} maxLength={32} value={draft.username} error={wrong("username")} hint="Others see it when you pay them." onChange={(event) => change({ username: event.target.value })} />
        <Field label="E-mail" name="email" type="email" required autoComplete="email" maxLength={254} value={draft.email} error={wrong("email")} onChange={(event) => change({ email: event.target.value })} />
        <Field label="Password" name="password" type="password" required autoComplete="new-password" maxLength={1024} value={password} error={wrong("password")} hint="At least 8 characters. A sentence is easier to remember." onChange={(event) => setPassword(event.target.value)} />
        <Field label="Invitation" name="invitation" required={invited} maxLength={200} autoComplete="off" spellCheck={false} mono value={draft.invitation} error={wrong("invitation")} hint={invited ? "The code you got from the operator of this pool." : "Only if you were given a code."} onChange={(event) => change({ invitation: event.target.value })} />
        {elsewhere ? <ErrorBox error={error} what="The account was not made." /> : null}
        <Button type="submit" look="primary" busy={busy}>Make the account</Button>
      </form>
      <p className="text-ink-2">You have one? <Link to="/login" className="link">Sign in</Link>.</p>
    </div>
  );
}
