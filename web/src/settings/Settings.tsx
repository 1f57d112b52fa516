import { useMe } from "../api/session";
import { PageHeader } from "../app/PageHeader";
import { Badge, Card, Facts } from "../ui";
import { Copy } from "../ui/Copy";
import { Invitations } from "./Invitations";
import { Keys } from "./Keys";
import { Sessions } from "./Sessions";

/** The account: who one is, what may act for one, and where one is signed in. */
export default function Settings() {
  const me = useMe();
  return (
    <>
      <PageHeader tab="Settings" title="Settings" lead="Your account, the programs that act for you, and where you are signed in" />
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
        <div className="flex min-w-0 flex-col gap-4">
          <Keys />
          <Sessions />
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          <Account />
          {me.role === "operator" ? <Invitations /> : null}
        </div>
      </div>
    </>
  );
}

function Account() {
  const me = useMe();
  return (
    <Card title="Account">
      <Facts
        facts={[
          ["User name", <strong key="name" className="font-semibold">{me.username}</strong>],
          ["User id", <span key="id" className="flex items-center gap-1"><span className="truncate font-mono text-[0.93em]" title={me.user_id}>{me.user_id}</span><Copy text={me.user_id} what="your user id" /></span>],
          ["Role", me.role],
          ["Level", me.level === "none" ? "none yet: it comes with machines that you lend" : <Badge key="level" tone="ok">{me.level}</Badge>],
          me.beta ? ["Beta features", "you see them"] : null,
          me.vote ? ["Vote", "you have one"] : null,
        ]}
      />
    </Card>
  );
}
