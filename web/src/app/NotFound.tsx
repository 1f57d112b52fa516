import { Link } from "react-router";
import { EmptyState } from "../ui";
import { useTitle } from "./title";

export function NotFound() {
  useTitle("Not found");
  return <EmptyState title="There is no such page" action={<Link to="/" className="link">To the first page</Link>}>The address may be mistyped, or what was here belongs to somebody else.</EmptyState>;
}
