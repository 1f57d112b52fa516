import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { KeyRound, Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { fieldError } from "../api/problem";
import { useMe } from "../api/session";
import { useNow } from "../lib/now";
import { moment } from "../lib/units";
import { Badge, Button, Card, Checkbox, Code, Confirm, Dialog, EmptyState, ErrorBox, Field, Name, Select, Skeleton, Table, TimeAgo, useToast, type Column } from "../ui";
import { keysQuery, makeKey, revokeKey, type KeySummary, type NewKey } from "./queries";
import { KEY_LIVES, keyFaults, scopesFor, type KeyFaults } from "./scopes";

/** Keys with which programs act for somebody. */
export function Keys() {
  const keys = useQuery(keysQuery);
  const [making, setMaking] = useState(false);
  const [ending, setEnding] = useState<KeySummary | null>(null);
  return (
    <Card title="API keys" flush aside={<Button small icon={<Plus aria-hidden className="size-4" />} onClick={() => setMaking(true)}>Make a key</Button>}>
      {keys.error ? <div className="p-4"><ErrorBox error={keys.error} what="Your keys could not be read." onRetry={() => void keys.refetch()} /></div> : null}
      {keys.data ? (
        <Table
          caption="API keys"
          columns={columns(setEnding)}
          rows={keys.data}
          rowKey={(key) => key.key_id}
          empty={<EmptyState title="No keys">A key lets a program act for you, for what you allow it and as long as you say. Give it as <code className="font-mono">Authorization: Bearer</code>.</EmptyState>}
        />
      ) : keys.error ? null : <div className="p-4"><Skeleton lines={3} /></div>}
      {making ? <Make onClose={() => setMaking(false)} /> : null}
      {ending ? <End apiKey={ending} onClose={() => setEnding(null)} /> : null}
    </Card>
  );
}

function columns(onEnd: (key: KeySummary) => void): Column<KeySummary>[] {
  return [
    { id: "name", head: "Name", cell: (key) => <span className="flex flex-col"><Name className="font-medium">{key.name}</Name><span className="text-ink-3 font-mono text-[0.93em]">{key.key_id}…</span></span> },
    { id: "scopes", head: "May", wideOnly: true, cell: (key) => <span className="flex flex-wrap gap-1">{key.scopes.map((scope) => <Badge key={scope} tone="off">{scope}</Badge>)}</span> },
    { id: "used", head: "Used", wideOnly: true, cell: (key) => (key.used_at_unix_ms === 0 ? <span className="text-ink-3">never</span> : <TimeAgo atMs={key.used_at_unix_ms} />) },
    { id: "expires", head: "Ends", cell: (key) => <Ends atMs={key.expires_at_unix_ms} /> },
    { id: "end", head: <span className="sr-only">End it</span>, numeric: true, cell: (key) => <Button small look="danger" aria-label={`End the key ${key.name}`} onClick={() => onEnd(key)}>End</Button> },
  ];
}

function Ends({ atMs }: { atMs: number }) {
  return atMs <= useNow() ? <Badge tone="bad">ended</Badge> : <TimeAgo atMs={atMs} />;
}

function End({ apiKey, onClose }: { apiKey: KeySummary; onClose: () => void }) {
  const client = useQueryClient();
  const say = useToast();
  const end = async () => {
    await revokeKey(apiKey.key_id);
    say("ok", <>The key <Name>{apiKey.name}</Name> has ended.</>);
    await client.invalidateQueries({ queryKey: keysQuery.queryKey });
  };
  return (
    <Confirm open title={<>End the key <Name>{apiKey.name}</Name>?</>} action="End the key" dangerous onConfirm={end} onClose={onClose}>
      <p className="text-ink-2">Programs that use it are refused at once. This cannot be taken back; make another key where one is needed.</p>
    </Confirm>
  );
}

function Make({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const me = useMe();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>(["tasks:read"]);
  const [life, setLife] = useState<string>("7776000");
  const [faults, setFaults] = useState<KeyFaults>({});
  const make = useMutation({
    // Kept by this dialog alone: once it is closed, nothing on the page knows the secret.
    gcTime: 0,
    mutationFn: () => makeKey({ name: name.trim(), scopes, valid_seconds: Number(life) }),
    onSuccess: () => client.invalidateQueries({ queryKey: keysQuery.queryKey }),
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    const wrong = keyFaults(name, scopes);
    setFaults(wrong);
    if (Object.keys(wrong).length === 0) make.mutate();
  };
  const toggle = (id: string, isOn: boolean) => setScopes(isOn ? [...scopes, id] : scopes.filter((scope) => scope !== id));
  if (make.data) return <Made made={make.data} onClose={onClose} />;
  return (
    <Dialog open title="Make an API key" onClose={onClose}>
      <form noValidate className="flex flex-col gap-4" onSubmit={send}>
        <Field label="Name" required placeholder="Nightly renders" maxLength={200} value={name} error={faults.name ?? fieldError(make.error, "name")} onChange={(event) => setName(event.target.value)} />
        <fieldset className="flex flex-col gap-2" aria-describedby={faults.scopes ? "scopes-fault" : undefined}>
          <legend className="mb-1.5 font-medium">It may</legend>
          {scopesFor(me.role).map((scope) => (
            <Checkbox key={scope.id} label={scope.name} hint={scope.means} checked={scopes.includes(scope.id)} onChange={(event) => toggle(scope.id, event.target.checked)} />
          ))}
          {faults.scopes ? <p id="scopes-fault" role="alert" className="text-bad">{faults.scopes}</p> : null}
        </fieldset>
        <Select label="It ends after" options={KEY_LIVES} value={life} onValue={setLife} />
        {make.error ? <ErrorBox error={make.error} what="No key was made." /> : null}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Not now</Button>
          <Button type="submit" look="primary" busy={make.isPending} icon={<KeyRound aria-hidden className="size-4" />}>Make the key</Button>
        </div>
      </form>
    </Dialog>
  );
}

function Made({ made, onClose }: { made: NewKey; onClose: () => void }) {
  return (
    <Dialog open insistent title="Copy your key now" onClose={onClose} wide>
      <p>This is the only time that it is shown. Keep it where you keep passwords.</p>
      <Code text={made.key} what="the key" />
      <p className="text-ink-2"><Name>{made.name}</Name>: {made.scopes.join(", ")}; until {moment(made.expires_at_unix_ms)}.</p>
      <div className="flex justify-end"><Button look="primary" onClick={onClose}>I have copied it</Button></div>
    </Dialog>
  );
}
