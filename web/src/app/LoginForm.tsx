import { type FormEvent, useEffect, useRef, useState } from "react";
import { useSession } from "../api/session";
import { Button, ErrorBox, Field } from "../ui";

type Props = { username?: string; onDone?: () => void };

/** Name and password. What was typed stays where it fails; the password is never stored. */
export function LoginForm({ username: fixed, onDone }: Props) {
  const { login } = useSession();
  const [username, setUsername] = useState(fixed ?? "");
  const [password, setPassword] = useState("");
  const [missing, setMissing] = useState<{ username?: string; password?: string }>({});
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLInputElement>("input:not([readonly])")?.focus(), []);

  const send = async (event: FormEvent) => {
    event.preventDefault();
    const gaps = { ...(username.trim() === "" ? { username: "Type your user name." } : {}), ...(password === "" ? { password: "Type your password." } : {}) };
    setMissing(gaps);
    if (Object.keys(gaps).length > 0) return;
    setBusy(true);
    setError(null);
    try {
      await login(username.trim(), password);
      onDone?.();
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form ref={form} noValidate onSubmit={(event) => void send(event)} className="flex flex-col gap-3">
      <Field label="User name" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} maxLength={32} readOnly={fixed !== undefined} value={username} error={missing.username} onChange={(event) => setUsername(event.target.value)} />
      <Field label="Password" name="password" type="password" autoComplete="current-password" maxLength={1024} value={password} error={missing.password} onChange={(event) => setPassword(event.target.value)} />
      {error === null ? null : <ErrorBox error={error} what="You are not signed in." />}
      <Button type="submit" look="primary" busy={busy}>Sign in</Button>
    </form>
  );
}
