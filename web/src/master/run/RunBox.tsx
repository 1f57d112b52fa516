import { Play } from "lucide-react";
import { type FormEvent, useMemo, useRef, useState } from "react";
import { Link, useNavigate } from "react-router";
import { request } from "../../api/client";
import { isUnanswered, useSubmission } from "../../api/submission";
import type { Quote, Submitted } from "../../api/types";
import { Unanswered } from "../../app/Unanswered";
import { useDraft } from "../../lib/draft";
import { cptUnit } from "../../lib/money";
import { Button, Card, ErrorBox, Field, useToast } from "../../ui";
import { Files } from "./Files";
import { checkRun, EMPTY_RUN, refusedAt, type RunDraft, type RunFaults } from "./model";
import { QuoteView } from "./QuoteView";
import { ThreeWays } from "./ThreeWays";
import { useUploads } from "./uploads";

/** What to run, and three ways to run the same from elsewhere. What was typed stays until the pool has taken it. */
export function RunBox() {
  const [draft, change, clear] = useDraft<RunDraft>("run", EMPTY_RUN);
  const [faults, setFaults] = useState<RunFaults>({});
  const [fault, setFault] = useState<{ of: "run" | "quote"; error: unknown } | null>(null);
  const [busy, setBusy] = useState<"" | "run" | "quote">("");
  const [quote, setQuote] = useState<Quote | null>(null);
  const uploads = useUploads();
  const submission = useSubmission("run");
  const navigate = useNavigate();
  const say = useToast();
  const form = useRef<HTMLFormElement>(null);
  const checked = useMemo(() => checkRun(draft, uploads.uploads.map((one) => ({ path: one.path, digest: one.digest ?? "" }))), [draft, uploads.uploads]);

  const edit = (part: Partial<RunDraft>) => {
    change(part);
    setQuote(null);
    setFaults((before) => Object.fromEntries(Object.entries(before).filter(([name]) => !(name in part))));
  };
  const show = (found: RunFaults) => {
    setFaults(found);
    const [first] = Object.keys(found);
    if (first !== undefined) form.current?.querySelector<HTMLInputElement>(`[name="${first}"]`)?.focus();
  };
  const attempt = async (what: "run" | "quote", send: (task: NonNullable<(typeof checked & { ok: true })["task"]>) => Promise<void>) => {
    setFault(null);
    if (!checked.ok) {
      show(checked.faults);
      return;
    }
    setBusy(what);
    try {
      await send(checked.task);
    } catch (failure) {
      setFault({ of: what, error: failure });
      show(refusedAt(failure));
    } finally {
      setBusy("");
    }
  };
  const run = (event: FormEvent) => {
    event.preventDefault();
    void attempt("run", async (task) => {
      const { task_id, price_cap_micro } = await submission.send(task, (key) => request<Submitted>("/tasks", { method: "POST", body: task, idempotencyKey: key }));
      clear();
      uploads.clear();
      say("ok", `${task_id} is submitted`, `It costs at most ${cptUnit(price_cap_micro)}.`);
      await navigate(`/tasks/${task_id}`);
    });
  };
  const ask = () => void attempt("quote", async (task) => setQuote(await request<Quote>("/quote", { method: "POST", body: { task } })));
  const field = (name: keyof RunDraft) => ({ name, value: draft[name], error: faults[name], onChange: (event: { target: { value: string } }) => edit({ [name]: event.target.value }) });

  return (
    <Card title="Run something">
      <form ref={form} id="run" noValidate onSubmit={run} className="flex flex-col gap-3">
        <div className="grid gap-3 sm:grid-cols-2">
          <Field label="Image" required mono placeholder="python:3.12" maxLength={512} spellCheck={false} autoCapitalize="none" hint={"A name, or sha256:\u2026 of one that you pushed."} {...field("image")} />
          <Field label="Command" mono placeholder={"python -c 'print(6 * 7)'"} maxLength={65536} spellCheck={false} autoCapitalize="none" hint={"Split into words as a shell does; empty: the image\u2019s own."} {...field("command")} />
        </div>
        <div className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-6">
          <Field label="Processor" unit="cores" inputMode="numeric" maxLength={5} {...field("cpus")} />
          <Field label="Memory" maxLength={12} {...field("memory")} />
          <Field label="At most" maxLength={12} {...field("timeout")} />
          <Field label="Elements" placeholder="1-100" maxLength={2000} {...field("array")} />
          <Field label="Price cap" unit="CPT" placeholder="none" inputMode="decimal" maxLength={20} {...field("maxPrice")} />
          <Field label="Name" placeholder="optional" maxLength={200} {...field("name")} />
        </div>
        <Files {...uploads} />
        {fault === null ? null : <ErrorBox error={fault.error} what={fault.of === "quote" ? "There is no price." : isUnanswered(fault.error) ? "No answer came: the task may have been taken already." : "The task was not taken."} />}
        <Unanswered standing={submission.standing(checked.ok ? checked.task : null)} where={<Link to="/tasks" className="link">your tasks</Link>} onForget={submission.forget} />
        {quote ? <QuoteView quote={quote} /> : null}
        <div className="flex flex-wrap items-center gap-2">
          <Button type="submit" look="primary" busy={busy === "run"} disabled={!uploads.done} icon={<Play aria-hidden className="size-4" />}>Run</Button>
          <Button onClick={ask} busy={busy === "quote"}>What would it cost?</Button>
          {uploads.done ? null : <span className="text-ink-2" role="status">Waiting for the files.</span>}
        </div>
      </form>
      <ThreeWays task={checked.ok ? checked.task : null} />
    </Card>
  );
}
