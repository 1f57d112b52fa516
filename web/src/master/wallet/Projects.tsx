import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { request } from "../../api/client";
import { isUnanswered, useSubmission } from "../../api/submission";
import { Unanswered } from "../../app/Unanswered";
import type { Page, Project } from "../../api/types";
import { useDraft } from "../../lib/draft";
import { cptUnit } from "../../lib/money";
import { plural } from "../../lib/units";
import { Button, Card, Dialog, EmptyState, ErrorBox, Field, Money, Name, Skeleton, Table, useToast } from "../../ui";
import { checkPay, type PayFaults } from "./pay";

const EMPTY = { amount: "", message: "" };

function TipForm({ project, transferable, onDone }: { project: Project; transferable: string | null; onDone: () => void }) {
  const [draft, change, clear] = useDraft(`tip.${project.project_id}`, EMPTY);
  const [faults, setFaults] = useState<PayFaults>({});
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submission = useSubmission(`tip.${project.project_id}`);
  const client = useQueryClient();
  const say = useToast();
  const checked = checkPay(project.name, draft.amount, transferable, draft.message);
  const body = checked.ok ? { amount_micro: checked.micro, message: draft.message } : null;
  const content = body === null ? null : { project: project.name, ...body };
  const send = async (event: FormEvent) => {
    event.preventDefault();
    setFaults(checked.ok ? {} : checked.faults);
    if (body === null) return;
    setBusy(true);
    setError(null);
    try {
      await submission.send(content, (key) => request(`/projects/${encodeURIComponent(project.name)}/tips`, { method: "POST", body, idempotencyKey: key }));
      say("ok", <>{cptUnit(body.amount_micro)} went to <Name>{project.name}</Name></>);
      clear();
      onDone();
      await Promise.all([client.invalidateQueries({ queryKey: ["projects"] }), client.invalidateQueries({ queryKey: ["wallet"] })]);
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form noValidate onSubmit={(event) => void send(event)} className="flex flex-col gap-3">
      <Field label="Amount" unit="CPT" inputMode="decimal" maxLength={24} value={draft.amount} error={faults.amount} hint={transferable === null ? undefined : `You can give away ${cptUnit(transferable)}.`} onChange={(event) => change({ amount: event.target.value })} />
      <Field label="Message" maxLength={280} value={draft.message} error={faults.message} hint="Everybody in the pool can read it." onChange={(event) => change({ message: event.target.value })} />
      {error === null ? null : <ErrorBox error={error} what={isUnanswered(error) ? "No answer came: it may have moved already." : "Nothing moved."} />}
      <Unanswered standing={submission.standing(content)} where="your statement" onForget={submission.forget} />
      <div className="flex justify-end gap-2"><Button onClick={onDone}>Not now</Button><Button type="submit" look="primary" busy={busy}>Tip</Button></div>
    </form>
  );
}

/** Open-source projects that can be tipped. */
export function Projects({ transferable }: { transferable: string | null }) {
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const [tipped, setTipped] = useState<Project | null>(null);
  const cursor = cursors.at(-1) ?? null;
  const list = useQuery({
    queryKey: ["projects", cursor],
    queryFn: ({ signal }) => request<Page<Project>>("/projects", { query: { limit: 20, cursor }, signal }),
    placeholderData: (before) => before,
  });
  return (
    <Card title="Tip a project" flush>
      {list.isPending ? <div className="px-4 pb-4"><Skeleton /></div> : null}
      {list.isError ? <div className="px-4 pb-4"><ErrorBox error={list.error} what="The projects could not be read." onRetry={() => void list.refetch()} /></div> : null}
      {list.data ? (
        <Table
          caption="projects"
          rowKey={(row) => row.project_id}
          rows={list.data.items}
          empty={<EmptyState title="No projects yet">Whoever keeps one registers it with <code>hivemind project register</code>.</EmptyState>}
          paging={{ page: cursors.length - 1, hasNext: list.data.next_cursor !== null, onPrevious: () => setCursors((before) => before.slice(0, -1)), onNext: () => setCursors((before) => [...before, list.data.next_cursor]) }}
          columns={[
            { id: "name", head: "Project", cell: (row) => <><Name className="font-medium">{row.name}</Name><span className="text-ink-3 block">{plural(row.tips, "tip")}, <Money micro={row.tipped_micro} /></span></> },
            { id: "tip", head: <span className="sr-only">Tip</span>, numeric: true, cell: (row) => row.state === "open" ? <Button small onClick={() => setTipped(row)} aria-label={`Tip ${row.name}`}>Tip</Button> : <span className="text-ink-3">closed</span> },
          ]}
        />
      ) : null}
      <Dialog open={tipped !== null} title={<>Tip <Name>{tipped?.name ?? ""}</Name></>} onClose={() => setTipped(null)}>
        {tipped ? <><p className="text-ink-2">Kept by <Name>{tipped.owner}</Name>: <Name className="font-mono">{tipped.repository}</Name></p><TipForm project={tipped} transferable={transferable} onDone={() => setTipped(null)} /></> : null}
      </Dialog>
    </Card>
  );
}
