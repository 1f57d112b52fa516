/**
 * Why things wait, and since when.
 *
 * Invariant: pure.
 */
import type { Queue, QueueGroup } from "./types";

/** What waits, summed up. */
export interface Waiting {
  elements: number;
  tasks: number;
  oldest_ms: number;
  /** The groups, the largest first. */
  groups: (QueueGroup & { part: number })[];
  /** Elements by age, each with its part of the largest. */
  ages: { age: string; elements: number; part: number }[];
}

/** Sums up a queue. */
export function sumUp(queue: Queue): Waiting {
  const { elements, tasks } = queue;
  const oldest = queue.groups.reduce((most, group) => Math.max(most, group.oldest_ms), 0);
  const largest = queue.ages.reduce((most, age) => Math.max(most, age.elements), 0);
  return {
    elements,
    tasks,
    oldest_ms: oldest,
    groups: queue.groups
      .map((group) => ({ ...group, part: elements > 0 ? group.elements / elements : 0 }))
      .sort((a, b) => b.elements - a.elements || b.oldest_ms - a.oldest_ms),
    ages: queue.ages.map((age) => ({ ...age, part: largest > 0 ? age.elements / largest : 0 })),
  };
}
