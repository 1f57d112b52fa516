import { useEffect, useMemo, useState } from "react";
import { Button, Card, Checkbox, Select, TextArea } from "../ui";
import { NumberField } from "../ui/NumberField";
import { Slider } from "../ui/Slider";
import { HoursGrid } from "./HoursGrid";
import { always, fromIntervals, hoursFault, hoursPerWeek, isLimited, PRESETS, toIntervals } from "./model/hours";
import { egressSentence, linesOf } from "./model/preferences";
import type { Section } from "./When";

/** Whether to work only when nobody uses the machine. */
export function Idle({ preferences: { idle, suspend }, faults, change }: Section) {
  return (
    <Card title="When you use the machine">
      <div className="flex flex-col gap-4">
        <Checkbox label="Work only when nobody uses this machine" hint="Keyboard, mouse, terminals and programs of yours count as use." checked={idle.only} onChange={(event) => change("idle", { only: event.target.checked })} />
        <div className="grid gap-4 sm:grid-cols-2">
          <NumberField label="Take work after" unit="min" hint="without input" disabled={!idle.only} value={idle.start_minutes} error={faults["idle.start_minutes"]} onValue={(value) => change("idle", { start_minutes: value ?? Number.NaN })} />
          <NumberField label="Go on after" unit="min" hint="without input, where work stands still" disabled={!idle.only} value={idle.resume_minutes} error={faults["idle.resume_minutes"]} onValue={(value) => change("idle", { resume_minutes: value ?? Number.NaN })} />
          <Slider label="Stop when your programs use" unit="%" min={5} max={100} disabled={!idle.only} value={Math.round(idle.stop_load * 100)} error={faults["idle.stop_load"]} onValue={(value) => change("idle", { stop_load: value / 100 })} />
          <Slider label="Go on when they use at most" unit="%" min={0} max={99} disabled={!idle.only} value={Math.round(idle.background_load * 100)} error={faults["idle.background_load"]} onValue={(value) => change("idle", { background_load: value / 100 })} />
        </div>
        <NumberField label="Work that has to stop stands still for" unit="min" hint="Then it is given back and tried elsewhere. 0: at once, which frees its memory at once." value={suspend.minutes} error={faults["suspend.minutes"]} onValue={(value) => change("suspend", { minutes: value ?? Number.NaN })} />
      </div>
    </Card>
  );
}

/** How much of the machine tasks get together. */
export function Shares({ preferences: { shares, gpu }, faults, change }: Section) {
  return (
    <Card title="How much is lent">
      <div className="flex flex-col gap-5">
        <Slider label="Processor for tasks" unit="%" min={1} max={100} hint="Of all cores, for all tasks together. Your own programs go first anyway." value={shares.cpu_percent} error={faults["shares.cpu_percent"]} onValue={(value) => change("shares", { cpu_percent: value })} />
        <Slider label="Memory for tasks" unit="%" min={1} max={100} hint="Of all memory, for all tasks together." value={shares.memory_percent} error={faults["shares.memory_percent"]} onValue={(value) => change("shares", { memory_percent: value })} />
        <Slider label="Graphics: stop when your programs use" unit="%" min={1} max={100} hint="Counts with “only when nobody uses this machine”." value={gpu.stop_percent} error={faults["gpu.stop_percent"]} onValue={(value) => change("gpu", { stop_percent: value })} />
      </div>
    </Card>
  );
}

/** The hours of work. */
export function Hours({ preferences: { hours }, faults, change }: Section) {
  const limited = isLimited(hours);
  const fault = hoursFault(hours);
  const week = useMemo(() => (fault === null ? fromIntervals(hours) : null), [hours, fault]);
  const set = (next: typeof hours) => change("hours", next);
  return (
    <Card title="Hours of the week" aside={limited && week ? <p className="text-ink-2">{hoursPerWeek(week).toFixed(1).replace(/\.0$/, "")} of 168 hours</p> : undefined}>
      <div className="flex flex-col gap-4">
        <Checkbox
          label="Work only in certain hours"
          hint={limited ? "At the end of an interval what runs stands still." : "Now: always, as far as your other rules allow it."}
          checked={limited}
          onChange={(event) => set(event.target.checked ? (PRESETS[1]?.hours ?? always()) : always())}
        />
        {limited && week ? (
          <>
            <div role="group" aria-label="Ready-made weeks" className="flex flex-wrap gap-2">
              {PRESETS.map((preset) => <Button key={preset.label} small onClick={() => set(preset.hours)}>{preset.label}</Button>)}
            </div>
            <HoursGrid week={week} onWeek={(next) => set(toIntervals(next))} />
          </>
        ) : null}
        {faults["hours"] ?? fault ? <p role="alert" className="text-bad">{faults["hours"] ?? fault}</p> : null}
      </div>
    </Card>
  );
}

const ON_BATTERY = [
  { value: "pause", text: "Stand still" },
  { value: "run", text: "Work, while there is charge enough" },
];

/** What to do on battery, and how hot it may get. */
export function BatteryAndHeat({ preferences: { battery, heat }, faults, change }: Section) {
  return (
    <Card title="Battery and heat">
      <div className="grid gap-4 sm:grid-cols-2">
        <Select label="On battery" options={ON_BATTERY} value={battery.when} onValue={(value) => change("battery", { when: value === "run" ? "run" : "pause" })} />
        <NumberField label="Least charge" unit="%" hint="below it work stands still" disabled={battery.when === "pause"} value={battery.least_percent} error={faults["battery.least_percent"]} onValue={(value) => change("battery", { least_percent: value ?? Number.NaN })} />
        <NumberField label="Stop at" unit="°C" optional hint="of the hottest sensor; 40 to 110" value={heat.stop_celsius} error={faults["heat.stop_celsius"]} onValue={(value) => change("heat", { stop_celsius: value })} />
        <NumberField label="Go on at" unit="°C" optional hint="ten below where it is left out" value={heat.resume_celsius} error={faults["heat.resume_celsius"]} onValue={(value) => change("heat", { resume_celsius: value })} />
      </div>
    </Card>
  );
}

/** Programs beside which nothing runs. */
export function Programs({ preferences: { programs }, faults, change }: Section) {
  return (
    <Card title="Programs">
      <Lines
        label="Stand still while one of these runs"
        hint="One name a line, as `ps -e` shows it, such as steam or obs; at most 64."
        lines={programs.pause_while}
        error={faults["programs.pause_while"]}
        onLines={(lines) => change("programs", { pause_while: lines })}
      />
    </Card>
  );
}

/** What tasks may reach and run. */
export function Limits({ preferences: { network, images, cache }, faults, change }: Section) {
  const isPublic = network.egress.length === 1 && network.egress[0] === "public";
  const policy = network.egress.length === 0 ? "nothing" : isPublic ? "public" : "places";
  return (
    <Card title="What tasks may reach and run">
      <div className="grid items-start gap-x-6 gap-y-4 lg:grid-cols-2">
        <div className="flex flex-col gap-4">
          <Select
            label="Network for tasks that ask for it"
            options={[{ value: "nothing", text: "None" }, { value: "places", text: "Only certain places" }, { value: "public", text: "Everything public" }]}
            value={policy}
            hint={egressSentence(network.egress)}
            onValue={(value) => change("network", { egress: value === "nothing" ? [] : value === "public" ? ["public"] : ["data.example.net:443"] })}
          />
          {policy === "places" ? (
            <Lines label="Places" hint="HOST:PORT, one a line, such as data.example.net:443 or *.example.org:443; at most 16." lines={network.egress} error={faults["network.egress"]} onLines={(lines) => change("network", { egress: lines })} />
          ) : null}
          <div className="grid gap-4 sm:grid-cols-2">
            <NumberField label="Speed of all tasks together" unit="Mbit/s" optional disabled={policy === "nothing"} value={network.mbit_per_second} error={faults["network.mbit_per_second"]} onValue={(value) => change("network", { mbit_per_second: value })} />
            <NumberField label="Volume of a day" unit="GiB" optional disabled={policy === "nothing"} value={network.gib_per_day} error={faults["network.gib_per_day"]} onValue={(value) => change("network", { gib_per_day: value })} />
          </div>
        </div>
        <div className="flex flex-col gap-4">
          <Lines label="Images that may run" hint="Names, or beginnings such as python:*, one a line. Empty: all." lines={images.allow} error={faults["images.allow"]} onLines={(lines) => change("images", { allow: lines })} />
          <NumberField label="Disk for kept inputs and images" unit="GiB" optional hint="left out: as the worker was started" value={cache.limit_gib} error={faults["cache.limit_gib"]} onValue={(value) => change("cache", { limit_gib: value })} className="max-w-64" />
        </div>
      </div>
    </Card>
  );
}

type LinesProps = { label: string; hint: string; lines: string[]; error?: string | undefined; onLines: (lines: string[]) => void };

/** A list, one a line. What is typed stays as it is while the list is the same. */
function Lines({ label, hint, lines, error, onLines }: LinesProps) {
  const [text, setText] = useLines(lines);
  return (
    <TextArea
      label={label}
      hint={hint}
      error={error}
      mono
      rows={4}
      spellCheck={false}
      autoCapitalize="none"
      value={text}
      onChange={(event) => {
        setText(event.target.value);
        onLines(linesOf(event.target.value));
      }}
    />
  );
}

function useLines(lines: string[]): [string, (text: string) => void] {
  const [text, setText] = useState(lines.join("\n"));
  useEffect(() => {
    setText((before) => (linesOf(before).join("\n") === lines.join("\n") ? before : lines.join("\n")));
  }, [lines]);
  return [text, setText];
}
