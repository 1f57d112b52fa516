import { NavLink, Outlet } from "react-router";
import { useSession } from "../../api/session";
import { Mark } from "../../app/Mark";
import { cx } from "../../ui";

const LINKS = [
  { to: "/evidence", text: "Evidence" },
  { to: "/security", text: "Security" },
  { to: "/docs", text: "Docs" },
];

/** The frame of the pages that need no account. */
export function PublicFrame() {
  const { session } = useSession();
  const inside = session.state === "signed-in";
  return (
    <div className="flex min-h-dvh flex-col">
      <a href="#main" className="skip bg-accent text-on-accent rounded px-3 py-2 font-semibold">Skip to the content</a>
      <header className="border-line bg-surface border-b">
        <div className="mx-auto flex min-h-14 max-w-5xl flex-wrap items-center gap-x-5 gap-y-1 px-4 py-2">
          <NavLink to="/" className="flex items-center gap-2 text-[1.1rem] font-semibold tracking-tight"><Mark className="size-7" /> HiveMind</NavLink>
          <nav aria-label="Main" className="flex flex-1 gap-1">
            {LINKS.map((link) => (
              <NavLink key={link.to} to={link.to} className={({ isActive }) => cx("rounded-md px-2 py-1.5", isActive ? "text-ink font-medium" : "text-ink-2 hover:text-ink")}>{link.text}</NavLink>
            ))}
          </nav>
          <div className="flex items-center gap-2">
            {inside ? (
              <NavLink to="/home" className="bg-accent text-on-accent hover:bg-accent-hover rounded-md px-3 py-1.5 font-semibold">Open {session.me.username}&rsquo;s tasks</NavLink>
            ) : (
              <>
                <NavLink to="/login" className="hover:bg-hover rounded-md px-3 py-1.5">Sign in</NavLink>
                <NavLink to="/register" className="bg-accent text-on-accent hover:bg-accent-hover rounded-md px-3 py-1.5 font-semibold">Make an account</NavLink>
              </>
            )}
          </div>
        </div>
      </header>
      <main id="main" tabIndex={-1} className="mx-auto w-full max-w-5xl flex-1 px-4 py-6"><Outlet /></main>
      <footer className="border-line text-ink-3 border-t">
        <p className="mx-auto max-w-5xl px-4 py-4">HiveMind is free software under the GNU General Public License, version 3. This page asks no other server for anything.</p>
      </footer>
    </div>
  );
}
