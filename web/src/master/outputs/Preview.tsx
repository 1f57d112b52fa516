import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { address, respond } from "../../api/client";
import type { OutputFile } from "../../api/types";
import { plain } from "../../lib/log";
import { decodePpm, type Pixels } from "../../lib/ppm";
import { bytes } from "../../lib/units";
import { ErrorBox, Skeleton } from "../../ui";

const IMAGES = /\.(png|jpe?g|gif|webp)$/i;
const TEXTS = /\.(txt|log|csv|tsv|json|jsonl|ya?ml|toml|ini|md|xml|svg|html?|css|js|ts|py|rs|c|h|cpp|go|java|sh|sql|tex|r)$/i;
const MOST_TEXT = 512 * 1024;
const MOST_IMAGE = 32 * 1024 * 1024;
const UNNAMED = /(^|\/)[^./]+$/;

export type PreviewKind = "image" | "ppm" | "text";

/** How a file can be looked at; null: only as a download. Pictures that can hold scripts are shown as text. */
export function previewKind(file: Pick<OutputFile, "path" | "size" | "is_folder">): PreviewKind | null {
  if (file.is_folder) return null;
  if (IMAGES.test(file.path)) return file.size <= MOST_IMAGE ? "image" : null;
  if (/\.ppm$/i.test(file.path)) return file.size <= MOST_IMAGE ? "ppm" : null;
  return TEXTS.test(file.path) || (UNNAMED.test(file.path) && file.size <= MOST_TEXT) ? "text" : null;
}

type Props = { id: string; element: number | null; file: OutputFile };

function useBytes({ id, element, file }: Props) {
  return useQuery({
    queryKey: ["file", id, element, file.path],
    queryFn: async ({ signal }) => {
      const answer = await respond(`/tasks/${encodeURIComponent(id)}/file`, { query: { element, path: file.path }, signal });
      return new Uint8Array(await answer.arrayBuffer());
    },
    gcTime: 30_000,
  });
}

function Ppm(props: Props) {
  const data = useBytes(props);
  const canvas = useRef<HTMLCanvasElement>(null);
  const pixels: Pixels | null = data.data ? decodePpm(data.data) : null;
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context && pixels) context.putImageData(new ImageData(pixels.rgba, pixels.width, pixels.height), 0, 0);
  }, [pixels]);
  if (data.isError) return <ErrorBox error={data.error} what="The picture could not be read." onRetry={() => void data.refetch()} />;
  if (data.isPending) return <Skeleton lines={6} />;
  if (!pixels) return <p className="text-ink-2">This is no picture of a kind that can be shown here (P6 with 8 bits).</p>;
  return (
    <div role="img" aria-label={props.file.path}>
      <canvas ref={canvas} aria-hidden width={pixels.width} height={pixels.height} className="border-line max-h-[32rem] max-w-full rounded border" />
    </div>
  );
}

function Words(props: Props) {
  const data = useBytes(props);
  if (data.isError) return <ErrorBox error={data.error} what="The file could not be read." onRetry={() => void data.refetch()} />;
  if (!data.data) return <Skeleton lines={6} />;
  const text = new TextDecoder("utf-8").decode(data.data.subarray(0, MOST_TEXT));
  return (
    <>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard */}
      <pre tabIndex={0} role="region" aria-label={`Contents of ${props.file.path}`} className="bg-sunken max-h-[32rem] overflow-auto rounded p-3 font-mono text-[0.93em] whitespace-pre">{text.split("\n").map(plain).join("\n")}</pre>
      {data.data.length > MOST_TEXT ? <p className="text-ink-3">The first {bytes(MOST_TEXT)} of {bytes(data.data.length)}; the download has all.</p> : null}
    </>
  );
}

/** A file as it can be looked at in the page. */
export function Preview(props: Props) {
  const { id, element, file } = props;
  const kind = previewKind(file);
  return (
    <figure className="flex min-w-0 flex-col gap-2">
      <figcaption className="text-ink-2 font-mono">{file.path} <span className="text-ink-3 font-sans">{bytes(file.size)}</span></figcaption>
      {kind === "image" ? <img src={address(`/tasks/${encodeURIComponent(id)}/file`, { element, path: file.path })} alt={file.path} className="border-line max-h-[32rem] max-w-full rounded border object-contain" /> : null}
      {kind === "ppm" ? <Ppm {...props} /> : null}
      {kind === "text" ? <Words {...props} /> : null}
      {kind === null ? <p className="text-ink-2">There is no preview for this kind of file, or it is too large for one; download it.</p> : null}
    </figure>
  );
}
