import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Button, IconButton } from "./Button";
import { cx } from "./class";

type Props = {
  open: boolean;
  title: ReactNode;
  onClose: () => void;
  children: ReactNode;
  wide?: boolean;
  /** Cannot be closed without an answer. */
  insistent?: boolean;
};

/**
 * The browser's own modal dialog: it keeps the focus inside, gives it back, and closes on Escape. What is inside is
 * only there while it is open.
 */
export function Dialog({ open, title, onClose, children, wide = false, insistent = false }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const node = dialog.current;
    if (!node) return;
    if (open && !node.open) node.showModal();
    if (!open && node.open) node.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        if (!insistent) onClose();
      }}
      className={cx("card text-ink bg-raised m-auto max-h-[90dvh] w-[calc(100vw-2rem)] overflow-auto p-0 shadow-2xl", wide ? "max-w-3xl" : "max-w-md")}
    >
      {open ? (
        <div className="flex flex-col gap-4 p-5">
          <div className="flex items-start justify-between gap-3">
            <h2 id={heading} className="text-lg font-semibold">{title}</h2>
            {insistent ? null : <IconButton label="Close" small onClick={onClose}><X aria-hidden className="size-4" /></IconButton>}
          </div>
          {children}
        </div>
      ) : null}
    </dialog>
  );
}

type ConfirmProps = {
  open: boolean;
  title: ReactNode;
  /** What happens, in one or two sentences, and whether it can be taken back. */
  children: ReactNode;
  action: string;
  dangerous?: boolean;
  onConfirm: () => Promise<void> | void;
  onClose: () => void;
};

/** Asks before something that costs or cannot be taken back; stays open and says why where it fails. */
export function Confirm({ open, title, children, action, dangerous = false, onConfirm, onClose }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [why, setWhy] = useState<string | null>(null);
  const close = () => {
    setWhy(null);
    onClose();
  };
  const confirm = async () => {
    setBusy(true);
    setWhy(null);
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      setWhy(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog open={open} title={title} onClose={close}>
      <div className="flex flex-col gap-2">{children}</div>
      {why === null ? null : <p role="alert" className="text-bad">{why}</p>}
      <div className="flex flex-wrap justify-end gap-2">
        <Button onClick={close}>Not now</Button>
        <Button look={dangerous ? "danger" : "primary"} busy={busy} onClick={() => void confirm()}>{action}</Button>
      </div>
    </Dialog>
  );
}
