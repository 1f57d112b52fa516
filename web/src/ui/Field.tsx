import { type InputHTMLAttributes, type ReactNode, type Ref, type SelectHTMLAttributes, type TextareaHTMLAttributes, useId } from "react";
import { cx } from "./class";

type Around = {
  label: ReactNode;
  hint?: ReactNode;
  /** What is wrong with what was typed, and how to put it right. */
  error?: string | null | undefined;
  /** The label is for screen readers only. */
  hideLabel?: boolean;
  className?: string;
};

type Wiring = { id: string; "aria-describedby": string | undefined; "aria-invalid": true | undefined };

function Wrapped({ label, hint, error, hideLabel, className, required, children }: Around & { required?: boolean | undefined; children: (wiring: Wiring) => ReactNode }) {
  const id = useId();
  const described = [hint ? `${id}-hint` : null, error ? `${id}-error` : null].filter(Boolean).join(" ");
  return (
    <div className={cx("flex min-w-0 flex-col gap-1", className)}>
      <label htmlFor={id} className={hideLabel ? "sr-only" : "font-medium"}>
        {label}
        {required ? <span className="text-ink-3 font-normal"> (needed)</span> : null}
      </label>
      {children({ id, "aria-describedby": described || undefined, "aria-invalid": error ? true : undefined })}
      {hint ? <p id={`${id}-hint`} className="text-ink-3 text-[0.93em]">{hint}</p> : null}
      {error ? <p id={`${id}-error`} role="alert" className="text-bad text-[0.93em]">{error}</p> : null}
    </div>
  );
}

type FieldProps = Around & Omit<InputHTMLAttributes<HTMLInputElement>, "className"> & { unit?: string; mono?: boolean; ref?: Ref<HTMLInputElement> };

/** A line of text with its label, hint, error and unit. */
export function Field({ label, hint, error, hideLabel = false, className = "", unit, mono = false, ...input }: FieldProps) {
  return (
    <Wrapped label={label} hint={hint} error={error} hideLabel={hideLabel} className={className} required={input.required}>
      {(wiring) => (
        <span className="relative block">
          <input {...input} {...wiring} className={cx("input", unit && "pr-14", mono && "font-mono")} />
          {unit ? <span aria-hidden className="text-ink-3 pointer-events-none absolute inset-y-0 right-2.5 flex items-center">{unit}</span> : null}
        </span>
      )}
    </Wrapped>
  );
}

type AreaProps = Around & Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, "className"> & { mono?: boolean };

export function TextArea({ label, hint, error, hideLabel = false, className = "", mono = false, ...area }: AreaProps) {
  return (
    <Wrapped label={label} hint={hint} error={error} hideLabel={hideLabel} className={className} required={area.required}>
      {(wiring) => <textarea {...area} {...wiring} className={cx("input", mono && "font-mono")} />}
    </Wrapped>
  );
}

type SelectProps = Around & Omit<SelectHTMLAttributes<HTMLSelectElement>, "className" | "onChange"> & {
  options: readonly { value: string; text: string }[];
  onValue: (value: string) => void;
};

/** The system's own list: right for keyboards, phones and screen readers. */
export function Select({ label, hint, error, hideLabel = false, className = "", options, onValue, ...select }: SelectProps) {
  return (
    <Wrapped label={label} hint={hint} error={error} hideLabel={hideLabel} className={className} required={select.required}>
      {(wiring) => (
        <select {...select} {...wiring} onChange={(event) => onValue(event.target.value)} className="input pr-7">
          {options.map((option) => <option key={option.value} value={option.value}>{option.text}</option>)}
        </select>
      )}
    </Wrapped>
  );
}

type CheckboxProps = Omit<InputHTMLAttributes<HTMLInputElement>, "className" | "type"> & { label: ReactNode; hint?: ReactNode; hideLabel?: boolean; className?: string };

export function Checkbox({ label, hint, hideLabel = false, className, ...input }: CheckboxProps) {
  const id = useId();
  return (
    <div className={cx("flex items-start gap-2", className)}>
      <input {...input} id={id} type="checkbox" aria-describedby={hint ? `${id}-hint` : undefined} className="accent-[var(--run)] mt-0.5 size-4 shrink-0" />
      <div>
        <label htmlFor={id} className={hideLabel ? "sr-only" : undefined}>{label}</label>
        {hint ? <p id={`${id}-hint`} className="text-ink-3 text-[0.93em]">{hint}</p> : null}
      </div>
    </div>
  );
}
