import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { request } from "../api/client";
import { fieldError, Problem } from "../api/problem";
import { PageHeader } from "../app/PageHeader";
import { Button, ErrorBox, Skeleton, useToast } from "../ui";
import { faultsOf, type Faults, type Preferences } from "./model/preferences";
import { preferencesQuery } from "./queries";
import { BatteryAndHeat, Hours, Idle, Limits, Programs, Shares } from "./sections";
import "./worker.css";

/** A part of the form: what it shows, what is wrong there, and how it changes. */
export type Section = {
  preferences: Preferences;
  faults: Faults;
  change: <Key extends keyof Preferences>(table: Key, part: Partial<Preferences[Key]>) => void;
};

/** When this machine works, and how much of it is lent. */
export default function When() {
  const preferences = useQuery(preferencesQuery);
  return (
    <>
      <PageHeader tab="When to run" title="When to run" lead="Any rule is enough to stop, and all have to allow it to go on. Nothing here costs you money or standing." />
      {preferences.error ? <ErrorBox error={preferences.error} what="Your preferences could not be read." onRetry={() => void preferences.refetch()} /> : null}
      {preferences.data ? <Form saved={preferences.data} /> : preferences.error ? null : <Skeleton lines={10} />}
    </>
  );
}

function Form({ saved }: { saved: Preferences }) {
  const client = useQueryClient();
  const say = useToast();
  // What is typed stays, whatever comes from the worker meanwhile.
  const [draft, setDraft] = useState<Preferences>(saved);
  const [shows, setShows] = useState(false);
  const isChanged = JSON.stringify(draft) !== JSON.stringify(saved);
  const faults = faultsOf(draft);
  const wrong = Object.keys(faults);
  const save = useMutation({
    mutationFn: () => request<Preferences>("/worker/preferences", { method: "PUT", body: draft }),
    onSuccess: (kept) => {
      client.setQueryData(preferencesQuery.queryKey, kept);
      setDraft(kept);
      setShows(false);
      say("ok", "Saved.", "The worker goes by it from now on; what is said of the network and of the cache counts from its next start.");
    },
  });
  useWarning(isChanged);
  const seen = shows ? merged(faults, save.error) : merged({}, save.error);
  const section: Section = {
    preferences: draft,
    faults: seen,
    change: (table, part) => {
      save.reset();
      setDraft((before) => ({ ...before, [table]: { ...before[table], ...part } }));
    },
  };
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (save.error || (shows && wrong.length > 0)) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
    // Only when it was sent.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [save.error, shows]);
  return (
    <form
      ref={form}
      noValidate
      aria-label="Preferences"
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        setShows(true);
        if (wrong.length === 0) save.mutate();
      }}
    >
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <Idle {...section} />
        <Shares {...section} />
      </div>
      <Hours {...section} />
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <BatteryAndHeat {...section} />
        <Programs {...section} />
      </div>
      <Limits {...section} />
      {save.error ? <ErrorBox error={save.error} what="Nothing was saved; the preferences before count." /> : null}
      <div className={isChanged ? "card bg-raised sticky bottom-3 z-20 flex flex-wrap items-center gap-3 p-3 shadow-lg" : "hidden"}>
        <p role="status" className="min-w-0 flex-1">{shows && wrong.length > 0 ? <span className="text-bad">{wrong.length === 1 ? "1 value is" : `${wrong.length} values are`} out of bounds.</span> : "Not saved yet."}</p>
        <Button onClick={() => { setDraft(saved); setShows(false); save.reset(); }}>Undo</Button>
        <Button type="submit" look="primary" busy={save.isPending}>Save</Button>
      </div>
    </form>
  );
}

/** What the worker refused stands at its field, too. */
function merged(faults: Faults, error: unknown): Faults {
  const field = error instanceof Problem ? error.field : null;
  if (!field) return faults;
  const table = field.startsWith("hours.") ? "hours" : field;
  return { ...faults, [table]: fieldError(error, field) ?? undefined };
}

/** Leaving the page with something unsaved asks first. */
function useWarning(isChanged: boolean) {
  useEffect(() => {
    if (!isChanged) return undefined;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [isChanged]);
}
