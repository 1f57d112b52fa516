import { describe, expect, it } from "vitest";
import { findings, isZero, part } from "./health";
import { judge, micro, moved, partOf, shortHash, sumOf } from "./ledger";
import { changesFor, put, reasonFault, select, standing, usage } from "./nodes";
import { sumUp } from "./queue";
import { aHealth, aNode } from "./samples";

describe("health", () => {
  it("has nothing to say of a pool that is well", () => {
    expect(findings(aHealth())).toEqual([]);
  });

  it("puts what matters most first", () => {
    const sick = aHealth({ tasks_lost: 1, ledger_imbalance_micro: "-7", brake_on: true, nodes_lost_last_hour: 1, schedule_latency_p99_ms: 4000 });
    expect(findings(sick).map((finding) => [finding.tone, finding.title])).toEqual([
      ["bad", "1 task lost"],
      ["bad", "The ledger does not balance"],
      ["warn", "New work is held back"],
      ["warn", "Tasks are handed out late"],
      ["warn", "1 node lost in the last hour"],
    ]);
  });

  it("knows zero, and parts of nothing", () => {
    expect([isZero("0"), isZero("-0"), isZero("1"), isZero("")]).toEqual([true, true, false, false]);
    expect([part(1, 0), part(3, 2), part(1, 4)]).toEqual([0, 1, 0.25]);
  });
});

describe("nodes", () => {
  const now = 1_000_000;

  it.each([
    [{}, "online"],
    [{ service: "banned", state: "offline" }, "banned"],
    [{ state: "silent", service: "cordoned" }, "silent"],
    [{ service: "draining" }, "draining"],
    [{ available: "paused" }, "paused"],
    [{ available: "finishing" }, "finishing"],
    [{ resting_until_unix_ms: now + 1 }, "resting"],
    [{ resting_until_unix_ms: now - 1 }, "online"],
  ])("says how it stands: %o is %s", (change, expected) => {
    expect(standing(aNode(change), now)).toBe(expected);
  });

  it("offers what the pool would take", () => {
    expect(changesFor(aNode(), true)).toEqual(["cordon", "drain", "ban"]);
    expect(changesFor(aNode(), false)).toEqual(["cordon", "drain"]);
    expect(changesFor(aNode({ service: "banned" }), true)).toEqual(["unban"]);
    expect(changesFor(aNode({ service: "banned" }), false)).toEqual([]);
    expect(changesFor(aNode({ service: "draining" }), false)).toEqual(["uncordon"]);
  });

  it("measures use, and knows when it cannot", () => {
    expect(usage(aNode({ cpu_usage: 40 }), "cpu")).toBeCloseTo(0.4);
    expect(usage(aNode({ cpu_millicores: 8000, free_cpu_millicores: 2000 }), "reserved")).toBeCloseTo(0.75);
    expect(usage(aNode({ cpu_millicores: 0 }), "reserved")).toBeNull();
    expect(usage(aNode({ state: "offline" }), "cpu")).toBeNull();
  });

  it("selects and orders without touching what it was given", () => {
    const all = [aNode({ node_id: "n-10" }), aNode({ node_id: "n-9", owner: "Bea", labels: ["zone=lab"] }), aNode({ node_id: "n-1", state: "offline" })];
    const ids = (text: string, which: "all" | "offline", descending = false) =>
      select(all, { text, standing: which }, { by: "node", descending }, now).map((node) => node.node_id);
    expect(ids("", "all")).toEqual(["n-1", "n-9", "n-10"]);
    expect(ids("", "all", true)).toEqual(["n-10", "n-9", "n-1"]);
    expect(ids("bea", "all")).toEqual(["n-9"]);
    expect(ids("ZONE=lab", "all")).toEqual(["n-9"]);
    expect(ids("", "offline")).toEqual(["n-1"]);
    expect(all.map((node) => node.node_id)).toEqual(["n-10", "n-9", "n-1"]);
    expect(put(all, [aNode({ node_id: "n-9", cpu_usage: 99 })])[1]?.cpu_usage).toBe(99);
    expect(put(all, [aNode({ node_id: "n-2" })])).toHaveLength(4);
  });

  it("wants a reason for a ban that can be stored", () => {
    expect(reasonFault("  ")).toContain("Write a reason");
    expect(reasonFault("ü".repeat(101))).toContain("202 bytes");
    expect(reasonFault("wrong results")).toBeNull();
  });
});

describe("ledger", () => {
  it("finds one micro-CPT in a trillion CPT", () => {
    const expected = "1000000000000000000";
    const lines = [
      { kind: "treasury", accounts: 1, balance_micro: "999999999999999000" },
      { kind: "available", accounts: 2, balance_micro: "1000" },
    ];
    const trial = { lines, supply_micro: expected, expected_supply_micro: expected, entries: 3, last_hash: "", holds: [] };
    expect(judge(trial)).toMatchObject({ balances: true, difference: 0n });
    const short = lines.map((line) => (line.kind === "available" ? { ...line, balance_micro: "999" } : line));
    expect(judge({ ...trial, lines: short })).toMatchObject({ balances: false, difference: -1n });
    expect(judge({ ...trial, supply_micro: "999999999999999999" }).balances).toBe(false);
  });

  it("reads money from strings alone", () => {
    expect([micro("-12"), micro("1e3"), micro("x"), micro("")]).toEqual([-12n, 0n, 0n, 0n]);
    expect([partOf(1n, 4n), partOf(-1n, 4n), partOf(1n, 0n), partOf(9n, 4n)]).toEqual([0.25, 0, 0, 1]);
  });

  it("sums the sides of an entry", () => {
    const postings = [{ amount_micro: "-5" }, { amount_micro: "3" }, { amount_micro: "2" }];
    expect([sumOf(postings), moved(postings)]).toEqual([0n, 5n]);
    expect(shortHash("0123456789abcdef0123456789abcdef")).toBe("01234567…abcdef");
  });
});

describe("queue", () => {
  it("sums up by reason and age", () => {
    const waiting = sumUp({
      elements: 40,
      tasks: 3,
      at_unix_ms: 1,
      groups: [
        { kind: "too_big", reason: "no node has a GPU", tasks: 1, elements: 10, oldest_ms: 5, example_task_id: "task_a" },
        { kind: "all_busy", reason: "all nodes are busy", tasks: 2, elements: 30, oldest_ms: 9, example_task_id: "task_b" },
      ],
      ages: [
        { age: "under 1 minute", elements: 30 },
        { age: "over 1 hour", elements: 10 },
      ],
    });
    expect([waiting.elements, waiting.tasks, waiting.oldest_ms]).toEqual([40, 3, 9]);
    expect(waiting.groups.map((group) => group.part)).toEqual([0.75, 0.25]);
    expect(waiting.ages.map((age) => age.part)).toEqual([1, 1 / 3]);
    expect(sumUp({ groups: [], ages: [], elements: 0, tasks: 0, at_unix_ms: 1 })).toMatchObject({ elements: 0, oldest_ms: 0 });
  });
});
