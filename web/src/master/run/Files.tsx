import { FileUp, RotateCw, X } from "lucide-react";
import { useId, useRef, useState } from "react";
import { explainError } from "../../api/problem";
import { bytes } from "../../lib/units";
import { Button, cx, IconButton, Progress } from "../../ui";
import { MOST_FILES, type useUploads } from "./uploads";

type Props = ReturnType<typeof useUploads>;

/** Files for the task, dropped or chosen; each is on its way to the pool as soon as it is here. */
export function Files({ uploads, add, remove, again }: Props) {
  const [over, setOver] = useState(false);
  const chooser = useRef<HTMLInputElement>(null);
  const id = useId();
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="font-medium">Files</label>
      {/* Dropping is one of two ways; the button inside is the one for keyboards. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        role="group"
        aria-label="Drop files here"
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          add(event.dataTransfer.files);
        }}
        className={cx("flex flex-wrap items-center gap-x-3 gap-y-1 rounded-md border border-dashed px-3 py-2", over ? "border-accent bg-wait-soft" : "border-line-strong")}
      >
        <FileUp aria-hidden className="text-ink-3 size-4" />
        <span className="text-ink-2 flex-1">Drop files here; the task finds them under <code>/task</code>.</span>
        <Button small onClick={() => chooser.current?.click()}>Choose files</Button>
        <input
          ref={chooser}
          id={id}
          type="file"
          multiple
          tabIndex={-1}
          className="sr-only"
          onChange={(event) => {
            add(event.target.files ?? []);
            event.target.value = "";
          }}
        />
      </div>
      {uploads.length > 0 ? (
        <ul className="flex flex-col gap-1">
          {uploads.map((one) => (
            <li key={one.id} className="bg-sunken grid grid-cols-[1fr_auto_auto] items-center gap-x-3 rounded-md px-2 py-1">
              <span className="truncate font-mono" title={one.path}>/task/{one.path}</span>
              <span className="text-ink-2 whitespace-nowrap">{one.digest ? bytes(one.file.size) : `${bytes(one.sent)} of ${bytes(one.file.size)}`}</span>
              <span>
                {one.error === null ? null : <IconButton small label={`Send ${one.path} again`} onClick={() => again(one)}><RotateCw aria-hidden className="size-4" /></IconButton>}
                <IconButton small label={`Remove ${one.path}`} onClick={() => remove(one.id)}><X aria-hidden className="size-4" /></IconButton>
              </span>
              {one.digest === null && one.error === null ? <span className="col-span-3"><Progress label={`Sending ${one.path}`} percent={one.file.size === 0 ? 100 : (one.sent / one.file.size) * 100} /></span> : null}
              {one.error === null ? null : <p role="alert" className="text-bad col-span-3">{explainError(one.error).why} {explainError(one.error).fix}</p>}
            </li>
          ))}
        </ul>
      ) : null}
      {uploads.length >= MOST_FILES ? <p className="text-ink-3">At most {MOST_FILES} files; put more into an archive.</p> : null}
    </div>
  );
}
