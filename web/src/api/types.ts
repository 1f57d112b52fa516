/**
 * The API's messages under the names that pages use. They come from the OpenAPI document (`schema.d.ts`, which `npm run schema`
 * makes); nothing is told here a second time. Amounts that end in `_micro` are texts of whole micro-CPT.
 */
import type { components } from "./schema";

type Of<Name extends keyof components["schemas"]> = components["schemas"][Name];

export type Micro = Of<"Micro">;
export type Page<Item> = { items: Item[]; next_cursor: string | null };

export type Me = Of<"Me">;
export type ElementCounts = Of<"ElementCounts">;
export type Dependency = Of<"DependencyTold">;
export type TaskSummary = Of<"TaskSummary">;
export type AttemptSummary = Of<"AttemptSummary">;
/** The pool tells the task with every status. */
export type TaskDetail = Omit<Of<"TaskStatus">, "task"> & { task: TaskSummary };
export type InputFile = Of<"InputFile">;
/** What is left out has its default. */
export type SubmitTask = Partial<Of<"SubmitTask">> & Pick<Of<"SubmitTask">, "task_name" | "docker_image">;
export type Submitted = Of<"Submitted">;
export type PriceLine = Of<"PriceLine">;
export type Quote = Of<"QuoteAnswer">;
export type Constraint = Of<"Constraint">;
export type AskChange = Of<"AskChange">;
export type Explain = Of<"Explanation">;
export type ElementSummary = Of<"ElementSummary">;
/** `indices` as array text, ascending; `states` one digit an element in that order, see `lib/grid`. */
export type Grid = Of<"Grid">;
export type FailureGroup = Of<"FailureGroup">;
export type Failures = Of<"FailureGroups">;
export type TimelineBar = Of<"TimelineBar">;
export type Timeline = Of<"Timeline">;
export type OutputFile = Of<"OutputFile">;
export type OutputFiles = Of<"OutputFiles">;
export type Balance = Of<"Balance">;
export type StatementLine = Of<"StatementLine">;
export type Project = Of<"ProjectSummary">;
export type PublicCounters = Of<"PublicCounters">;
export type PoolInfo = Of<"PoolInfo">;
export type NodeSummary = Of<"NodeSummary">;
/** One moment of the live stream of a task. */
export type TaskEvent = Of<"TaskEvent">;
