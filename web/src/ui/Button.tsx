import { LoaderCircle } from "lucide-react";
import { type ButtonHTMLAttributes, type ReactNode, type Ref } from "react";
import { cx } from "./class";

export type ButtonLook = "primary" | "plain" | "quiet" | "danger";

const LOOKS: Record<ButtonLook, string> = {
  primary: "bg-accent text-on-accent border-transparent hover:bg-accent-hover font-semibold",
  plain: "bg-surface text-ink border-line-strong hover:bg-hover",
  quiet: "bg-transparent text-ink-2 border-transparent hover:bg-hover hover:text-ink",
  danger: "bg-surface text-bad border-bad hover:bg-bad-soft",
};

type Props = ButtonHTMLAttributes<HTMLButtonElement> & {
  look?: ButtonLook;
  small?: boolean;
  /** Something is under way: the button says so and takes no second press. */
  busy?: boolean;
  icon?: ReactNode;
  ref?: Ref<HTMLButtonElement>;
};

export function Button({ look = "plain", small = false, busy = false, icon, className, children, type = "button", onClick, ...rest }: Props) {
  return (
    <button
      {...rest}
      type={type}
      aria-busy={busy || undefined}
      aria-disabled={busy || undefined}
      onClick={busy ? (event) => event.preventDefault() : onClick}
      className={cx(
        "inline-flex items-center justify-center gap-1.5 rounded-md border whitespace-nowrap select-none transition-colors",
        "disabled:bg-sunken disabled:text-ink-3 disabled:border-line",
        small ? "min-h-7 px-2 text-[0.93em]" : "min-h-[2.3rem] px-3",
        LOOKS[look],
        className,
      )}
    >
      {busy ? <LoaderCircle aria-hidden className="size-4 animate-spin" /> : icon}
      {children}
    </button>
  );
}

type IconButtonProps = Omit<Props, "children" | "icon"> & { label: string; children: ReactNode };

/** A button that is only a picture; `label` names it for everybody. */
export function IconButton({ label, children, className, ...rest }: IconButtonProps) {
  return (
    <Button {...rest} look={rest.look ?? "quiet"} aria-label={label} title={label} className={cx("!px-1.5", className)}>
      {children}
    </Button>
  );
}
