import { DropdownMenu } from "radix-ui";
import type { ReactNode } from "react";

export type MenuItem = { id: string; label: ReactNode; onSelect: () => void; checked?: boolean } | "line" | { heading: string };

/** Actions behind a button; arrow keys and first letters choose. */
export function Menu({ trigger, items, label }: { trigger: ReactNode; items: readonly MenuItem[]; label: string }) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content aria-label={label} align="end" sideOffset={6} className="card bg-raised z-40 min-w-52 p-1 shadow-xl">
          {items.map((item, at) => {
            if (item === "line") return <DropdownMenu.Separator key={`line-${at}`} className="bg-line my-1 h-px" />;
            if ("heading" in item) return <DropdownMenu.Label key={item.heading} className="text-ink-3 px-2 py-1">{item.heading}</DropdownMenu.Label>;
            const inner = "data-highlighted:bg-hover flex cursor-pointer items-center gap-2 rounded px-2 py-1.5 outline-none";
            if (item.checked === undefined) return <DropdownMenu.Item key={item.id} onSelect={item.onSelect} className={inner}>{item.label}</DropdownMenu.Item>;
            return (
              <DropdownMenu.CheckboxItem key={item.id} checked={item.checked} onSelect={item.onSelect} className={inner}>
                <span aria-hidden className="w-3">{item.checked ? "\u2713" : ""}</span>
                {item.label}
              </DropdownMenu.CheckboxItem>
            );
          })}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
