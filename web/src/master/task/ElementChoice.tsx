import { type FormEvent, useState } from "react";
import { Button, Field } from "../../ui";

/** Which element of an array is looked at. */
export function ElementChoice({ array, element, onElement }: { array: string; element: number | null; onElement: (index: number) => void }) {
  const [typed, setTyped] = useState(element === null ? "" : String(element));
  const [why, setWhy] = useState<string | null>(null);
  const go = (event: FormEvent) => {
    event.preventDefault();
    const index = Number(typed);
    if (!/^\d+$/.test(typed.trim()) || !Number.isSafeInteger(index)) setWhy(`An index is a number, such as ${array.split(/[-,]/)[0]}.`);
    else {
      setWhy(null);
      onElement(index);
    }
  };
  return (
    <form noValidate onSubmit={go} className="flex items-start gap-2">
      <Field label="Element" hideLabel className="w-36" inputMode="numeric" placeholder="Element, such as 7" maxLength={10} value={typed} error={why} onChange={(event) => setTyped(event.target.value)} />
      <Button type="submit">Show</Button>
    </form>
  );
}
