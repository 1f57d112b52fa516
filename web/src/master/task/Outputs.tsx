import { useQuery } from "@tanstack/react-query";
import { Download, File as FileIcon, Folder } from "lucide-react";
import { useState } from "react";
import { address } from "../../api/client";
import { taskPart } from "../../api/queries";
import type { OutputFile, OutputFiles, TaskDetail } from "../../api/types";
import { bytes, plural } from "../../lib/units";
import { Card, EmptyState, ErrorBox, Skeleton, Table } from "../../ui";
import { Preview, previewKind } from "../outputs/Preview";
import { isOpen } from "../tasks/name";
import { ElementChoice } from "./ElementChoice";

type Props = { detail: TaskDetail; element: number | null; onElement: (index: number) => void };

function download(id: string, element: number | null, file: OutputFile) {
  return address(`/tasks/${encodeURIComponent(id)}/file`, { element, path: file.path });
}

function List({ id, element }: { id: string; element: number | null }) {
  const told = useQuery(taskPart<OutputFiles>(id, "files", { element: element ?? undefined }));
  const [open, setOpen] = useState<string | null>(null);
  if (told.isPending) return <Skeleton />;
  if (told.isError) return <ErrorBox error={told.error} what="The outputs could not be listed." onRetry={() => void told.refetch()} />;
  const { files, cut } = told.data;
  const shown = files.find((file) => file.path === open) ?? files.find((file) => !file.is_folder && previewKind(file) !== null);
  return (
    <div className="grid items-start gap-4 lg:grid-cols-2">
      <div className="min-w-0">
        <Table
          caption="output files"
          rowKey={(row) => row.path}
          rows={files}
          onOpen={(row) => setOpen(row.path)}
          empty={<EmptyState title="It left no files">Files under <code>/task/output</code> are kept.</EmptyState>}
          columns={[
            {
              id: "path", head: "File", cell: (row) => (
                <span className="flex items-center gap-2">
                  {row.is_folder ? <Folder aria-hidden className="text-ink-3 size-4 shrink-0" /> : <FileIcon aria-hidden className="text-ink-3 size-4 shrink-0" />}
                  {row.is_folder ? <span className="font-mono">{row.path}/</span> : <button type="button" aria-pressed={shown?.path === row.path} className="link text-left font-mono" onClick={() => setOpen(row.path)}>{row.path}</button>}
                </span>
              ),
            },
            { id: "size", head: "Size", numeric: true, cell: (row) => (row.is_folder ? "" : bytes(row.size)) },
            {
              id: "get", head: <span className="sr-only">Download</span>, className: "w-10", cell: (row) => row.is_folder ? null : (
                <a href={download(id, element, row)} download={row.path.split("/").at(-1)} aria-label={`Download ${row.path}`} className="text-ink-2 hover:text-ink"><Download aria-hidden className="size-4" /></a>
              ),
            },
          ]}
        />
        {cut ? <p className="text-ink-3 px-4 py-2">There are more than {plural(files.length, "file")}; the archive has all.</p> : null}
      </div>
      {shown ? <Preview key={shown.path} id={id} element={element} file={shown} /> : null}
    </div>
  );
}

/** The files that a task left. */
export function Outputs({ detail, element, onElement }: Props) {
  const { task } = detail;
  const isArray = task.array !== "";
  const which = isArray ? element : null;
  const ready = isArray ? element !== null : task.has_output;
  return (
    <Card
      title={isArray && element !== null ? `Outputs of element ${element}` : "Outputs"}
      aside={
        <div className="flex flex-wrap items-start gap-2">
          {isArray ? <ElementChoice key={element} array={task.array} element={element} onElement={onElement} /> : null}
          {ready ? <a href={address(`/tasks/${encodeURIComponent(task.task_id)}/output`, { element: which })} download={`${task.task_id}${which === null ? "" : `-${which}`}.tar`} className="bg-surface border-line-strong hover:bg-hover inline-flex min-h-[2.3rem] items-center gap-1.5 rounded-md border px-3"><Download aria-hidden className="size-4" /> All as tar</a> : null}
        </div>
      }
    >
      {ready ? <List key={which} id={task.task_id} element={which} />
        : isArray ? <EmptyState title="Which element?">Type the index of one above. All of them at once: <code>hivemind fetch {task.task_id}</code></EmptyState>
        : <EmptyState title={isOpen(detail.status) ? "No files yet" : "It left no files"}>Files under <code>/task/output</code> are kept when a task has completed.</EmptyState>}
    </Card>
  );
}
