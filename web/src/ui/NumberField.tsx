import { useEffect, useState } from "react";
import { Field } from "./Field";

type Props = {
  label: string;
  value: number | null;
  /** `null` where the field is empty, which `optional` fields may be; not a number where the text is none. */
  onValue: (value: number | null) => void;
  unit: string;
  optional?: boolean;
  hint?: string;
  error?: string | undefined;
  className?: string;
  disabled?: boolean;
};

/** A whole number with its unit. What is typed stays as it was typed, also while it is no number yet. */
export function NumberField({ label, value, onValue, unit, optional = false, hint, error, className, disabled = false }: Props) {
  const [text, setText] = useState(shown(value));
  useEffect(() => {
    setText((before) => (same(read(before, optional), value) ? before : shown(value)));
  }, [value, optional]);
  return (
    <Field
      label={label}
      inputMode="numeric"
      autoComplete="off"
      unit={unit}
      value={text}
      disabled={disabled}
      {...(hint === undefined ? {} : { hint })}
      error={error}
      placeholder={optional ? "no limit" : undefined}
      onChange={(event) => {
        setText(event.target.value);
        onValue(read(event.target.value, optional));
      }}
      {...(className === undefined ? {} : { className })}
    />
  );
}

function shown(value: number | null): string {
  return value === null || Number.isNaN(value) ? "" : String(value);
}

function read(text: string, optional: boolean): number | null {
  const bare = text.trim();
  if (bare === "") return optional ? null : Number.NaN;
  return /^\d{1,9}$/.test(bare) ? Number(bare) : Number.NaN;
}

function same(a: number | null, b: number | null): boolean {
  return Object.is(a, b);
}
