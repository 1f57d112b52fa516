import { Tabs as Radix } from "radix-ui";
import type { ReactNode } from "react";

export type Tab = { id: string; label: ReactNode; content: ReactNode };

/** Parts of a page beside each other; arrow keys move, only the open part exists. */
export function Tabs({ tabs, value, onValue, label }: { tabs: readonly Tab[]; value: string; onValue: (id: string) => void; label: string }) {
  return (
    <Radix.Root value={value} onValueChange={onValue} className="flex min-w-0 flex-col gap-3">
      <Radix.List aria-label={label} className="border-line flex gap-1 overflow-x-auto border-b">
        {tabs.map((tab) => (
          <Radix.Trigger
            key={tab.id}
            value={tab.id}
            className="text-ink-2 hover:text-ink data-[state=active]:border-accent data-[state=active]:text-ink -mb-px border-b-2 border-transparent px-3 py-2 whitespace-nowrap -outline-offset-2 data-[state=active]:font-medium"
          >
            {tab.label}
          </Radix.Trigger>
        ))}
      </Radix.List>
      {tabs.map((tab) => (
        <Radix.Content key={tab.id} value={tab.id} className="min-w-0">{tab.content}</Radix.Content>
      ))}
    </Radix.Root>
  );
}
