import { useCallback, useRef, useState } from "react";
import { upload } from "../../api/client";
import type { InputFile } from "../../api/types";

export type Upload = {
  id: number;
  file: File;
  /** Where it will lie under /task. */
  path: string;
  sent: number;
  digest: string | null;
  error: unknown;
};

export const MOST_FILES = 100;
let lastId = 0;

/** `path` as an input may be named: relative, without empty parts and dots. */
export function inputPath(file: File): string {
  const path = file.webkitRelativePath || file.name;
  return path.split(/[/\\]+/).filter((part) => part !== "" && part !== "." && part !== "..").join("/") || "file";
}

/** Files on their way to the pool, one after the other. A file that failed stays and can be sent again. */
export function useUploads() {
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const line = useRef<Promise<void>>(Promise.resolve());
  const stops = useRef(new Map<number, AbortController>());

  const change = useCallback((id: number, part: Partial<Upload>) => setUploads((all) => all.map((one) => (one.id === id ? { ...one, ...part } : one))), []);

  const send = useCallback((one: Upload) => {
    const stop = new AbortController();
    stops.current.set(one.id, stop);
    change(one.id, { error: null, sent: 0 });
    line.current = line.current.then(async () => {
      if (stop.signal.aborted) return;
      try {
        const { digest } = await upload<{ digest: string }>("/contents", one.file, (sent) => change(one.id, { sent }), stop.signal);
        change(one.id, { digest, sent: one.file.size });
      } catch (error) {
        if (!stop.signal.aborted) change(one.id, { error });
      }
    });
  }, [change]);

  const add = useCallback((files: Iterable<File>) => {
    const fresh = Array.from(files).map((file): Upload => ({ id: (lastId += 1), file, path: inputPath(file), sent: 0, digest: null, error: null }));
    setUploads((all) => {
      // The newest of two files with one name counts, as in a folder.
      const kept = all.filter((one) => !fresh.some((other) => other.path === one.path));
      return [...kept, ...fresh].slice(0, MOST_FILES);
    });
    for (const one of fresh.slice(0, MOST_FILES)) send(one);
  }, [send]);

  const remove = useCallback((id: number) => {
    stops.current.get(id)?.abort();
    stops.current.delete(id);
    setUploads((all) => all.filter((one) => one.id !== id));
  }, []);

  const clear = useCallback(() => {
    for (const stop of stops.current.values()) stop.abort();
    stops.current.clear();
    setUploads([]);
  }, []);

  const inputs: InputFile[] = uploads.flatMap((one) => (one.digest === null ? [] : [{ path: one.path, digest: one.digest }]));
  return { uploads, inputs, done: inputs.length === uploads.length, add, remove, again: send, clear };
}
