import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Badge, Button, Card, Confirm, ErrorBox, Skeleton, Table, TimeAgo, useToast, type Column } from "../ui";
import { endSession, sessionsQuery, type SessionSummary } from "./queries";
import { browserOf } from "./scopes";

/** Where somebody is signed in. */
export function Sessions() {
  const sessions = useQuery(sessionsQuery);
  const [ending, setEnding] = useState<SessionSummary[] | null>(null);
  const others = sessions.data?.filter((session) => !session.current) ?? [];
  return (
    <Card title="Sessions" flush aside={others.length > 0 ? <Button small onClick={() => setEnding(others)}>End all others</Button> : undefined}>
      {sessions.error ? <div className="p-4"><ErrorBox error={sessions.error} what="Your sessions could not be read." onRetry={() => void sessions.refetch()} /></div> : null}
      {sessions.data ? <Table caption="Sessions" columns={columns((session) => setEnding([session]))} rows={sessions.data} rowKey={(session) => session.session_id} /> : sessions.error ? null : <div className="p-4"><Skeleton lines={3} /></div>}
      {ending ? <End sessions={ending} onClose={() => setEnding(null)} /> : null}
    </Card>
  );
}

function columns(onEnd: (session: SessionSummary) => void): Column<SessionSummary>[] {
  return [
    { id: "about", head: "Browser", cell: (session) => <span className="flex flex-wrap items-center gap-2"><span title={session.about}>{browserOf(session.about)}</span>{session.current ? <Badge tone="ok">this one</Badge> : null}</span> },
    { id: "created", head: "Signed in", wideOnly: true, cell: (session) => <TimeAgo atMs={session.created_at_unix_ms} /> },
    { id: "used", head: "Used", cell: (session) => <TimeAgo atMs={session.used_at_unix_ms} /> },
    { id: "expires", head: "Ends", wideOnly: true, cell: (session) => <TimeAgo atMs={session.expires_at_unix_ms} /> },
    { id: "end", head: <span className="sr-only">End it</span>, numeric: true, cell: (session) => (session.current ? null : <Button small look="danger" aria-label={`End the session of ${browserOf(session.about)}`} onClick={() => onEnd(session)}>End</Button>) },
  ];
}

function End({ sessions, onClose }: { sessions: SessionSummary[]; onClose: () => void }) {
  const client = useQueryClient();
  const say = useToast();
  const one = sessions.length === 1;
  const end = async () => {
    try {
      for (const session of sessions) await endSession(session.session_id);
      say("ok", one ? "The session has ended." : `${sessions.length} sessions have ended.`);
    } finally {
      await client.invalidateQueries({ queryKey: sessionsQuery.queryKey });
    }
  };
  return (
    <Confirm open title={one ? "End this session?" : `End ${sessions.length} sessions?`} action={one ? "End it" : "End them"} dangerous onConfirm={end} onClose={onClose}>
      <p className="text-ink-2">{one ? `${browserOf(sessions[0]?.about ?? "")} is` : "All browsers but this one are"} signed out at once, and whoever sits there has to sign in again.</p>
    </Confirm>
  );
}
