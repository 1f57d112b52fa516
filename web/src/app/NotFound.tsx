import { Link } from "react-router";
import { PageHeader } from "./PageHeader";

export function NotFound() {
  return (
    <div className="flex flex-col items-start gap-3 py-10">
      <PageHeader tab="Not found" title="There is no such page" lead="The address may be mistyped, or what was here belongs to somebody else." />
      <Link to="/" className="link">To the first page</Link>
    </div>
  );
}
