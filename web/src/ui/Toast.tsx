import { CheckCircle2, CircleAlert, X } from "lucide-react";
import { Toast as Radix } from "radix-ui";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { IconButton } from "./Button";

type Note = { id: number; tone: "ok" | "bad"; title: ReactNode; detail?: string | undefined };
type Say = (tone: Note["tone"], title: ReactNode, detail?: string) => void;

const MOST = 4;
const SayContext = createContext<Say | null>(null);

/** Says in a corner what has happened; read out by screen readers; F8 moves the focus there. */
export function useToast(): Say {
  const say = useContext(SayContext);
  if (!say) throw new Error("useToast outside of Toasts");
  return say;
}

let lastId = 0;

export function Toasts({ children }: { children: ReactNode }) {
  const [notes, setNotes] = useState<Note[]>([]);
  const say = useCallback<Say>((tone, title, detail) => {
    lastId += 1;
    const note = { id: lastId, tone, title, detail };
    setNotes((before) => [...before, note].slice(-MOST));
  }, []);
  const value = useMemo(() => say, [say]);
  return (
    <SayContext value={value}>
      <Radix.Provider swipeDirection="right" duration={7000} label="Message">
        {children}
        {notes.map((note) => (
          <Radix.Root
            key={note.id}
            type={note.tone === "bad" ? "foreground" : "background"}
            onOpenChange={(open) => open || setNotes((before) => before.filter((other) => other.id !== note.id))}
            className="card bg-raised flex items-start gap-2 p-3 shadow-lg"
          >
            {note.tone === "ok" ? <CheckCircle2 aria-hidden className="text-ok mt-0.5 size-4 shrink-0" /> : <CircleAlert aria-hidden className="text-bad mt-0.5 size-4 shrink-0" />}
            <div className="min-w-0 flex-1">
              <Radix.Title className="font-medium">{note.title}</Radix.Title>
              {note.detail ? <Radix.Description className="text-ink-2">{note.detail}</Radix.Description> : null}
            </div>
            <Radix.Close asChild><IconButton label="Dismiss" small><X aria-hidden className="size-4" /></IconButton></Radix.Close>
          </Radix.Root>
        ))}
        <Radix.Viewport className="fixed right-4 bottom-4 z-50 flex w-[min(24rem,calc(100vw-2rem))] flex-col gap-2" />
      </Radix.Provider>
    </SayContext>
  );
}
