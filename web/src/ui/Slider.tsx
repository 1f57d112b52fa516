import { useId } from "react";

type Props = {
  label: string;
  value: number;
  onValue: (value: number) => void;
  unit: string;
  min: number;
  max: number;
  hint?: string;
  error?: string | undefined;
  disabled?: boolean;
};

/** An amount between two bounds, with its number beside it. */
export function Slider({ label, value, onValue, unit, min, max, hint, error, disabled = false }: Props) {
  const id = useId();
  const described = [hint ? `${id}-hint` : null, error ? `${id}-error` : null].filter(Boolean).join(" ");
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <div className="flex items-baseline justify-between gap-3">
        <label htmlFor={id} className="font-medium">{label}</label>
        <output htmlFor={id} className="whitespace-nowrap">{value} {unit}</output>
      </div>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={1}
        value={value}
        disabled={disabled}
        aria-valuetext={`${value} ${unit}`}
        aria-describedby={described || undefined}
        aria-invalid={error ? true : undefined}
        onChange={(event) => onValue(Number(event.target.value))}
        className="h-6 w-full accent-[var(--run)]"
      />
      {hint ? <p id={`${id}-hint`} className="text-ink-3 text-[0.93em]">{hint}</p> : null}
      {error ? <p id={`${id}-error`} role="alert" className="text-bad text-[0.93em]">{error}</p> : null}
    </div>
  );
}
