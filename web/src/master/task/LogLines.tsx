import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { LogBuffer, LogLine } from "../../lib/log";
import { cx } from "../../ui";

const ROW = 18;
const SPARE = 12;
const HEIGHT = 480;

/** The parts of a line, every second of them a match. Only ever text. */
function marked(text: string, words: string) {
  if (words === "") return text;
  const parts: ReactNode[] = [];
  const low = text.toLowerCase();
  const wanted = words.toLowerCase();
  let from = 0;
  for (let at = low.indexOf(wanted); at !== -1 && parts.length < 100; at = low.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), <mark key={at} className="bg-accent text-on-accent rounded-[2px]">{text.slice(at, at + wanted.length)}</mark>);
    from = at + wanted.length;
  }
  parts.push(text.slice(from));
  return parts;
}

type Props = {
  buffer: LogBuffer;
  version: number;
  follow: boolean;
  onScrolled: (bottom: boolean) => void;
  words: string;
  /** The position to bring into view. */
  shown: number | undefined;
};

/** The lines that can be seen, of however many there are: only those exist on the page. */
export function LogLines({ buffer, version, follow, onScrolled, words, shown }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const total = buffer.length;
  useLayoutEffect(() => {
    const node = box.current;
    if (node && follow) node.scrollTop = node.scrollHeight;
  }, [version, follow, total]);
  useEffect(() => {
    const node = box.current;
    if (!node || shown === undefined) return;
    const place = shown * ROW;
    if (place < node.scrollTop || place > node.scrollTop + node.clientHeight - ROW * 2) node.scrollTop = place - node.clientHeight / 2;
  }, [shown]);
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const last = Math.min(total, Math.ceil((top + HEIGHT) / ROW) + SPARE);
  const lines: { at: number; line: LogLine }[] = [];
  for (let at = first; at < last; at += 1) {
    const line = buffer.at(at);
    if (line) lines.push({ at, line });
  }
  return (
    // What scrolls must be reachable by keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div ref={box} role="region" aria-label="Lines of the log" tabIndex={0} className="bg-sunken overflow-auto rounded-b-lg font-mono text-[12.5px] -outline-offset-2"
      style={{ height: total === 0 ? 0 : Math.min(HEIGHT, total * ROW + 16) }}
      onScroll={(event) => {
        const node = event.currentTarget;
        setTop(node.scrollTop);
        onScrolled(node.scrollTop + node.clientHeight >= node.scrollHeight - ROW * 1.5);
      }}
    >
      <div className="relative min-w-max" style={{ height: total * ROW }}>
        {lines.map(({ at, line }) => (
          <div key={line.number} className={cx("absolute flex min-w-full whitespace-pre", at === shown && "bg-wait-soft")} style={{ top: at * ROW, height: ROW, lineHeight: `${ROW}px` }}>
            <span aria-hidden className="text-ink-3 bg-sunken sticky left-0 w-16 shrink-0 pr-3 text-right select-none">{line.number}</span>
            <span className={cx("pr-4", line.stream === "stderr" && "text-bad")}>{marked(line.text, words)}</span>
          </div>
        ))}
      </div>
    </div>
  );
}
