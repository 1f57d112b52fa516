import type { ReactNode } from "react";
import { useTitle } from "./title";

/** The heading of a page; it takes the focus when the page is arrived at. */
export function PageHeader({ title, lead, aside, tab }: { title: ReactNode; lead?: ReactNode; aside?: ReactNode; tab: string }) {
  useTitle(tab);
  return (
    <header className="flex flex-wrap items-end justify-between gap-x-6 gap-y-2">
      <div className="min-w-0">
        <h1 tabIndex={-1} className="text-2xl font-semibold tracking-tight">{title}</h1>
        {lead ? <div className="text-ink-2">{lead}</div> : null}
      </div>
      {aside ? <div className="flex flex-wrap items-center gap-2">{aside}</div> : null}
    </header>
  );
}
