import { Link, Navigate, useSearchParams } from "react-router";
import { useSession } from "../../api/session";
import { LoginForm } from "../../app/LoginForm";
import { PageHeader } from "../../app/PageHeader";

/** Only places on this site; anything else is the first page. */
export function placeAfter(next: string | null): string {
  return next !== null && /^\/(?![/\\])/.test(next) ? next : "/home";
}

export default function Login() {
  const { session } = useSession();
  const [params] = useSearchParams();
  if (session.state === "signed-in") return <Navigate to={placeAfter(params.get("next"))} replace />;
  return (
    <div className="mx-auto flex w-full max-w-sm flex-col gap-5 py-8">
      <PageHeader tab="Sign in" title="Sign in" />
      <div className="card p-5"><LoginForm /></div>
      <p className="text-ink-2">No account yet? <Link to="/register" className="link">Make one</Link>.</p>
    </div>
  );
}
