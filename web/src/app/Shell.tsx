import { Keyboard, Menu as MenuIcon, User } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { NavLink, Outlet, ScrollRestoration, useLocation } from "react-router";
import { useLive } from "../api/live";
import { useTheme } from "../lib/theme";
import { Button, cx, IconButton, Menu, type MenuItem, Name } from "../ui";
import { LostBanner } from "./LostBanner";
import { Mark } from "./Mark";
import { type Shortcut, Shortcuts } from "./shortcuts";

export type NavItem = { to: string; text: string; icon: ReactNode; end?: boolean };

type Props = {
  /** What this server is, beside the name: empty for the requester's pages. */
  server: string;
  nav: readonly NavItem[];
  user?: string;
  userItems: readonly MenuItem[];
  shortcuts: readonly Shortcut[];
  /** Beside the user's menu, such as the balance. */
  aside?: ReactNode;
  who?: string;
};

/** On arrival at another page the heading takes the focus, so that keyboards and screen readers start there. */
function useFocusOnArrival() {
  const { pathname } = useLocation();
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current === pathname) return;
    before.current = pathname;
    const frame = requestAnimationFrame(() => (document.querySelector<HTMLElement>("main h1") ?? document.querySelector<HTMLElement>("main"))?.focus());
    return () => cancelAnimationFrame(frame);
  }, [pathname]);
}

function LiveDot() {
  const { state } = useLive();
  const text = state === "open" ? "Live" : state === "lost" ? "Not live" : "Connecting";
  const color = state === "open" ? "bg-ok" : state === "lost" ? "bg-bad" : "bg-wait";
  return (
    <span className="text-ink-2 inline-flex items-center gap-1.5">
      <span aria-hidden className={cx("size-2 rounded-full", color)} />
      <span className="max-sm:sr-only">{text}</span>
    </span>
  );
}

/** The frame of every signed-in page: navigation, who is here, whether it is live. */
export function Shell({ server, nav, user, userItems, shortcuts, aside, who }: Props) {
  const [theme, setTheme] = useTheme();
  const [open, setOpen] = useState(false);
  const { pathname } = useLocation();
  useFocusOnArrival();
  useEffect(() => setOpen(false), [pathname]);
  const themes: MenuItem[] = [
    { heading: "Colours" },
    { id: "system", label: "As the system", checked: theme === "system", onSelect: () => setTheme("system") },
    { id: "light", label: "Light", checked: theme === "light", onSelect: () => setTheme("light") },
    { id: "dark", label: "Dark", checked: theme === "dark", onSelect: () => setTheme("dark") },
  ];
  const keys: MenuItem = {
    id: "keys",
    label: <><Keyboard aria-hidden className="size-4" /> Keyboard shortcuts</>,
    // After the menu has given the focus back.
    onSelect: () => window.setTimeout(() => document.dispatchEvent(new KeyboardEvent("keydown", { key: "?" })), 50),
  };
  return (
    <div className="flex min-h-dvh flex-col">
      <a href="#main" className="skip bg-accent text-on-accent rounded px-3 py-2 font-semibold">Skip to the content</a>
      <header className="bg-surface border-line sticky top-0 z-30 border-b">
        <div className="mx-auto flex min-h-12 max-w-[1400px] flex-wrap items-center gap-x-4 px-4">
          <NavLink to={nav[0]?.to ?? "/"} className="flex items-center gap-2 py-2 font-semibold tracking-tight">
            <Mark />
            HiveMind{server ? <span className="text-ink-2 font-normal">{server}</span> : null}
          </NavLink>
          <div className="flex flex-1 items-center justify-end gap-3 md:order-2">
            <LiveDot />
            {aside}
            <Menu
              label="You and this page"
              items={[...userItems, ...(userItems.length > 0 ? ["line" as const] : []), ...themes, "line", keys]}
              trigger={<Button look="quiet" small icon={<User aria-hidden className="size-4" />}><Name className="max-w-32 truncate">{user ?? "Options"}</Name></Button>}
            />
            <IconButton label={open ? "Close navigation" : "Open navigation"} aria-expanded={open} aria-controls="nav" className="md:hidden" onClick={() => setOpen(!open)}>
              <MenuIcon aria-hidden className="size-5" />
            </IconButton>
          </div>
          <nav id="nav" aria-label="Main" className={cx("max-md:w-full max-md:pb-2", !open && "max-md:hidden")}>
            <ul className="flex gap-1 max-md:flex-col">
              {nav.map((item) => (
                <li key={item.to}>
                  <NavLink
                    to={item.to}
                    end={item.end ?? false}
                    className={({ isActive }) => cx("flex items-center gap-1.5 rounded-md px-2.5 py-1.5", isActive ? "bg-off-soft text-ink font-medium" : "text-ink-2 hover:bg-hover hover:text-ink")}
                  >
                    {item.icon}
                    {item.text}
                  </NavLink>
                </li>
              ))}
            </ul>
          </nav>
        </div>
      </header>
      <LostBanner {...(who ? { who } : {})} />
      <main id="main" tabIndex={-1} className="mx-auto flex w-full max-w-[1400px] flex-1 flex-col gap-4 px-4 py-5">
        <Outlet />
      </main>
      <Shortcuts shortcuts={shortcuts} />
      <ScrollRestoration />
    </div>
  );
}
