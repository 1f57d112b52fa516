import { describe, expect, it } from "vitest";
import paper from "../../../docs/EVIDENCE.md?raw";
import { Problem } from "../api/problem";
import { eta } from "../lib/eta";
import { decodePpm } from "../lib/ppm";
import { splitWords } from "../lib/words";
import { spentIn } from "./home/spent";
import { previewKind } from "./outputs/Preview";
import { placeAfter } from "./public/Login";
import { readEvidence } from "./public/figures";
import { signUpFaults } from "./public/rules";
import { asCli, asCurl, asPython, checkRun, EMPTY_RUN, refusedAt } from "./run/model";
import { leftOut } from "./task/Failures";
import { placeBars } from "./task/lanes";
import { checkPay } from "./wallet/pay";
import { walletPoints } from "./wallet/points";

const draft = { ...EMPTY_RUN, image: "python:3.12", command: "python -c 'print(\"it''s\")'" };

describe("a task that is typed", () => {
  it("is checked field by field", () => {
    const checked = checkRun({ name: "", image: "", command: "'open", cpus: "0", memory: "much", timeout: "soon", array: "x", maxPrice: "-1" });
    expect(checked).toMatchObject({ ok: false });
    expect(Object.keys(checked.ok ? {} : checked.faults).sort()).toEqual(["array", "command", "cpus", "image", "maxPrice", "memory", "timeout"]);
  });
  it("that the pool refuses is wrong at the field that the pool means", () => {
    const refusal = (field: string | null) => new Problem(422, "E_INVALID", "Invalid", "no", field, null);
    expect([refusedAt(refusal("docker_image")), refusedAt(refusal("max_price_micro")), refusedAt(refusal("labels")), refusedAt(refusal(null)), refusedAt(new Error("x"))]).toEqual([{ image: "no" }, { maxPrice: "no" }, {}, {}, {}]);
  });
  it("is the same task in a terminal, whatever it contains", () => {
    const checked = checkRun({ ...draft, name: "$(rm -rf) `x`", array: "1-10", maxPrice: "2.5" }, [{ path: "a b.csv", digest: "sha256:0" }]);
    if (!checked.ok) throw new Error("refused");
    const words = splitWords(asCli(checked.task));
    expect(words).toEqual({ ok: true, words: ["hivemind", "submit", "--wait", "--name", "$(rm -rf) `x`", "--cpus", "1", "--memory", "512m", "--timeout", "900s", "--array", "1-10", "--max-price", "2.5", "--input", "./a b.csv", "python:3.12", "python", "-c", 'print("its")'] });
    expect(asCurl(checked.task, "http://pool")).toContain(`-d '${JSON.stringify(checked.task)}'`);
    expect(asPython(checked.task, "http://pool")).toContain('"print(\\"its\\")"');
  });
});

it("what is spent leaves out what the same person earns", () => {
  const line = (kind: string, account: string, amount_micro: string) => ({ kind, account, amount_micro }) as never;
  expect(spentIn([line("hold", "available", "-100"), line("hold", "held", "100"), line("accrual", "held", "-10"), line("accrual", "pending", "10"), line("settlement", "held", "-90"), line("settlement", "available", "70"), line("settlement", "owner", "30")])).toBe(30n);
});

it("the wallet's line goes back from the present, exactly, one point a second", () => {
  const line = (entry: number, at_unix_ms: number, account: string, amount_micro: string) => ({ entry, at_unix_ms, account, amount_micro }) as never;
  const points = walletPoints([line(3, 9000, "held", "-5000000"), line(3, 9000, "available", "2000000"), line(2, 5000, "held", "5000000"), line(2, 5000, "promo", "-5000000"), line(1, 5000, "owner", "7")], { spendable: "12000000", held: "0" }, 10_000);
  expect(points).toEqual({ times: [5, 9, 10], spendable: [10, 12, 12], held: [5, 0, 0] });
});

it("a payment is checked before it is sent", () => {
  expect(checkPay("olga", "1.5", "2000000")).toEqual({ ok: true, micro: "1500000" });
  expect(checkPay(" ", "3", "2000000")).toMatchObject({ ok: false, faults: { to: expect.any(String), amount: expect.any(String) } });
  expect(checkPay("x", "1", null, "\u00e4".repeat(141))).toMatchObject({ faults: { message: expect.any(String) } });
});

it("bars that overlap get lanes of their own, and what runs ends now", () => {
  const bar = (node: string, from_unix_ms: number, to_unix_ms: number) => ({ node, from_unix_ms, to_unix_ms, element: 0, attempt: 1, outcome: "" }) as never;
  const { lanes, from, to } = placeBars([bar("b", 0, 10), bar("a", 5, 0), bar("a", 6, 8), bar("a", 9, 10)], 100);
  expect(lanes.map((lane) => [lane.node, lane.bars.length])).toEqual([["a", 1], ["a", 2], ["b", 1]]);
  expect([from, to]).toEqual([0, 100]);
});

it("time left is only said where there is a pace", () => {
  const task = { status: "running", progress: 25, submitted_at_unix_ms: 0, elements: null };
  expect(eta(task, null, 10_000)).toBe(30_000);
  expect(eta({ ...task, progress: 0 }, null, 10_000)).toBeNull();
  expect(eta({ ...task, status: "pending" }, null, 10_000)).toBeNull();
  expect(eta({ ...task, progress: 0, elements: { total: 4, completed: 1, failed: 1, cancelled: 0, running: 1 } }, null, 10_000)).toBe(10_000);
});

it("a pixmap is shown whole or not at all", () => {
  const file = (head: string, bytes: number) => new Uint8Array([...new TextEncoder().encode(head), ...new Array<number>(bytes).fill(7)]);
  expect(decodePpm(file("P6\n2 1\n255\n", 6))?.rgba).toEqual(Uint8ClampedArray.from([7, 7, 7, 255, 7, 7, 7, 255]));
  for (const [head, bytes] of [["P6\n2 1\n255\n", 5], ["P6\n0 1\n255\n", 9], ["P5\n1 1\n255\n", 9], ["P6\n999999 999999\n255\n", 9], ["", 0]] as const) expect(decodePpm(file(head, bytes))).toBeNull();
});

it("what can hold scripts is only ever looked at as text", () => {
  const kind = (path: string, size = 10) => previewKind({ path, size, is_folder: false });
  expect([kind("a.PNG"), kind("a.svg"), kind("a.html"), kind("tile.ppm"), kind("out/result"), kind("w.bin"), kind("a.png", 1e12)]).toEqual(["image", "text", "text", "ppm", "text", null, null]);
});

it("after signing in only this site is a place to go", () => {
  expect([placeAfter("/tasks?x=1"), placeAfter("//evil.example"), placeAfter("/\\evil.example"), placeAfter("https://evil.example"), placeAfter(null)]).toEqual(["/tasks?x=1", "/home", "/home", "/home", "/home"]);
});

it("an account is checked as the pool does", () => {
  const fine = { username: "ada", password: "correct horse", email: "a@b", invitation: "" };
  expect(signUpFaults(fine, false)).toEqual({});
  expect(Object.keys(signUpFaults({ username: "a b", password: "\u00e4\u00e4\u00e4", email: "a", invitation: "" }, true)).sort()).toEqual(["email", "invitation", "password", "username"]);
  expect(Object.keys(signUpFaults({ ...fine, username: "x".repeat(33), password: "\u00e4".repeat(513) }, false)).sort()).toEqual(["password", "username"]);
});

it("figures come out of the paper", () => {
  const paper = "# E\n\nAbout\nit [here](x).\n\n| Figure | Value | Peer | Ratio | Load |\n|---|---|---|---|---|\n| `a_b` | **1** ms | - | - | 2.0 |\n\nmore";
  expect(readEvidence(paper)).toEqual({ about: "About it here.", figures: [{ names: ["a_b"], value: "1 ms", peer: "-", ratio: "-", load: "2.0" }] });
});

it("groups of failures say what they leave out", () => {
  expect(leftOut({ failed: 40, ungrouped: 0, cut: false })).toBeNull();
  expect(leftOut({ failed: 1500, ungrouped: 1200, cut: false })).toBe("1,200 of 1,500 failed elements are in no group that is shown: these are the 100 most frequent at most.");
  expect(leftOut({ failed: 1500, ungrouped: 0, cut: true })).toContain("first 1,000,000 elements");
});

it("the site tells no figure that the paper does not have", () => {
  const evidence = readEvidence(paper);
  expect(evidence.figures.length).toBeGreaterThan(10);
  const rows = paper.replaceAll(/`|\*\*/g, "");
  for (const { names, value, peer, ratio } of evidence.figures) {
    expect(rows).toContain(names.join(", "));
    for (const told of [value, peer, ratio]) expect(rows).toContain(`| ${told} |`);
  }
});
