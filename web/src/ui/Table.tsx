import { ChevronLeft, ChevronRight } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useLayoutEffect, useRef, useState } from "react";
import { Button } from "./Button";
import { cx } from "./class";

export type Column<Row> = {
  id: string;
  head: ReactNode;
  cell: (row: Row) => ReactNode;
  /** Numbers stand to the right. */
  numeric?: boolean;
  /** Left out on phones. */
  wideOnly?: boolean;
  className?: string;
};

export type Paging = { page: number; hasNext: boolean; onPrevious: () => void; onNext: () => void; busy?: boolean };

type Props<Row> = {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  /** Enter on a row opens it; each row should hold a link to the same place for the mouse. */
  onOpen?: (row: Row) => void;
  paging?: Paging;
  empty?: ReactNode;
};

/** Whether what is inside is wider than there is room: only then is it a stop for the keyboard. */
function useScrolls() {
  const box = useRef<HTMLDivElement>(null);
  const [scrolls, setScrolls] = useState(false);
  useLayoutEffect(() => {
    const node = box.current;
    if (!node || typeof ResizeObserver === "undefined") return undefined;
    const look = () => setScrolls(node.scrollWidth > node.clientWidth);
    look();
    const watcher = new ResizeObserver(look);
    watcher.observe(node);
    return () => watcher.disconnect();
  }, []);
  return { box, scrolls };
}

/**
 * Rows of one page, as the server cut them. Up, down, Home and End move between rows, Enter opens one; Tab goes through
 * what is inside as usual.
 */
export function Table<Row>({ caption, columns, rows, rowKey, onOpen, paging, empty }: Props<Row>) {
  const body = useRef<HTMLTableSectionElement>(null);
  const { box, scrolls } = useScrolls();
  const move = (event: KeyboardEvent<HTMLTableRowElement>, at: number) => {
    const inner = event.target !== event.currentTarget;
    if (event.key === "Enter" && !inner && onOpen) {
      const row = rows[at];
      if (row !== undefined) onOpen(row);
      return;
    }
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || inner) return;
    event.preventDefault();
    (body.current?.children[Math.max(0, Math.min(rows.length - 1, to))] as HTMLElement | undefined)?.focus();
  };
  if (rows.length === 0 && empty !== undefined && (paging?.page ?? 0) === 0) return <>{empty}</>;
  return (
    <div className="min-w-0">
      <div ref={box} {...(scrolls ? { tabIndex: 0, role: "region", "aria-label": caption } : {})} className="overflow-x-auto -outline-offset-2">
        <table className="w-full border-collapse text-left">
          <caption className="sr-only">{caption}</caption>
          <thead>
            <tr className="border-line text-ink-2 border-b">
              {columns.map((column) => (
                <th key={column.id} scope="col" className={cx("px-3 py-2 font-medium whitespace-nowrap first:pl-4 last:pr-4", column.numeric && "text-right", column.wideOnly && "max-md:hidden")}>
                  {column.head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody ref={body}>
            {rows.map((row, at) => (
              // A row that opens takes the focus; its link does the same for other ways of pointing.
              <tr
                key={rowKey(row)}
                tabIndex={onOpen ? (at === 0 ? 0 : -1) : undefined}
                onKeyDown={onOpen ? (event) => move(event, at) : undefined}
                className="border-line hover:bg-hover border-b -outline-offset-2 last:border-0"
              >
                {columns.map((column) => (
                  <td key={column.id} className={cx("px-3 py-1.5 align-middle first:pl-4 last:pr-4", column.numeric && "text-right", column.wideOnly && "max-md:hidden", column.className)}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {paging && (paging.page > 0 || paging.hasNext) ? (
        <nav aria-label={`Pages of ${caption}`} className="border-line text-ink-2 flex items-center justify-end gap-2 border-t px-3 py-2">
          <span>Page {paging.page + 1}</span>
          <Button small disabled={paging.page === 0} onClick={paging.onPrevious} icon={<ChevronLeft aria-hidden className="size-4" />}>Previous</Button>
          <Button small disabled={!paging.hasNext} busy={paging.busy ?? false} onClick={paging.onNext}>Next <ChevronRight aria-hidden className="size-4" /></Button>
        </nav>
      ) : null}
    </div>
  );
}
