import { readFileSync } from "node:fs";
import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { Problem, Unreachable } from "../api/problem";
import { violations } from "../testing/axe";
import { Badge, Button, Checkbox, Code, Confirm, EmptyState, ErrorBox, Field, Money, Name, Progress, Select, Skeleton, StateBar, Table, Tabs, TextArea } from ".";

it("the library has nothing that axe finds", async () => {
  const nothing = () => undefined;
  const { container } = render(
    <main>
      <h1>Library</h1>
      <Button>Go</Button>
      <Button busy>Going</Button>
      <Field label="Name" hint="A hint" error="Wrong" required />
      <TextArea label="Text" />
      <Select label="Kind" options={[{ value: "a", text: "A" }]} onValue={nothing} />
      <Checkbox label="Really" hint="A hint" />
      <Badge tone="ok">fine</Badge>
      <StateBar label="Elements" legend parts={[{ name: "done", count: 3, tone: "ok" }, { name: "failed", count: 1, tone: "bad" }]} />
      <Progress label="Progress" percent={120} />
      <Code what="Command" text="ls" />
      <EmptyState title="Nothing" />
      <ErrorBox error={new Problem(400, "E_INVALID", "t", "d", null, null)} what="It failed." onRetry={nothing} />
      <Skeleton />
      <Tabs label="Parts" value="a" onValue={nothing} tabs={[{ id: "a", label: "A", content: "a" }, { id: "b", label: "B", content: "b" }]} />
      <Table caption="rows" rows={[1, 2]} rowKey={String} columns={[{ id: "n", head: "N", cell: (row) => row }]} paging={{ page: 1, hasNext: true, onNext: nothing, onPrevious: nothing }} />
    </main>,
  );
  expect(await violations(container)).toEqual([]);
  expect(screen.getByRole("progressbar", { name: "Progress" }).getAttribute("aria-valuenow")).toBe("100");
  expect(screen.getByRole("img", { name: "Elements: 3 done, 1 failed" })).toBeDefined();
});

it("a field's error and hint are said with it", () => {
  render(<Field label="Name" hint="A hint" error="Wrong" />);
  const input = screen.getByLabelText("Name");
  const words = (input.getAttribute("aria-describedby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent);
  expect(words).toEqual(["A hint", "Wrong"]);
  expect(input.getAttribute("aria-invalid")).toBe("true");
});

it("a busy button takes no second press", async () => {
  const press = vi.fn();
  render(<Button busy onClick={press}>Send</Button>);
  await userEvent.click(screen.getByRole("button", { name: "Send" }));
  expect(press).not.toHaveBeenCalled();
});

it("money in a column has six decimals, and reads as the amount", () => {
  const { container } = render(<Money micro="1250000" column />);
  expect(container.textContent).toBe("1.250000 CPT");
});

describe("a table", () => {
  it("goes by keyboard: arrows, Home, End, Enter", async () => {
    const open = vi.fn();
    render(<Table caption="rows" rows={["a", "b", "c"]} rowKey={String} onOpen={open} columns={[{ id: "n", head: "N", cell: (row) => row }]} />);
    const rows = within(screen.getByRole("table")).getAllByRole("row").slice(1);
    rows[0]?.focus();
    await userEvent.keyboard("{ArrowDown}{ArrowDown}{ArrowDown}");
    expect(document.activeElement).toBe(rows[2]);
    await userEvent.keyboard("{Enter}{Home}{Enter}");
    expect(open.mock.calls).toEqual([["c"], ["a"]]);
  });
});

describe("a confirmation", () => {
  it("stays open and says why where it fails", async () => {
    const close = vi.fn();
    let works = false;
    render(<Confirm open title="Sure?" action="Do it" onClose={close} onConfirm={() => (works ? Promise.resolve() : Promise.reject(new Error("not now")))}><p>Words</p></Confirm>);
    await userEvent.click(screen.getByRole("button", { name: "Do it" }));
    expect((await screen.findByRole("alert")).textContent).toBe("not now");
    expect(close).not.toHaveBeenCalled();
    works = true;
    await userEvent.click(screen.getByRole("button", { name: "Do it" }));
    expect(close).toHaveBeenCalledTimes(1);
  });
});

it("an error says what, why, what to do, and its code", () => {
  render(<ErrorBox what="The task was not taken." error={new Problem(403, "E_FORBIDDEN", "Forbidden", "Only operators may.", null, null)} />);
  expect(screen.getByRole("alert").textContent).toBe("The task was not taken.Only operators may.Ask the operator of the pool, or sign in as somebody who may.E_FORBIDDEN");
  render(<ErrorBox what="No answer." error={new Unreachable("x")} />);
  expect(screen.getAllByRole("alert")[1]?.textContent).toContain("What you typed is kept");
});

describe("a name", () => {
  it("turns around nothing but itself", () => {
    render(<Confirm open title={<>Cancel <Name>{"\u202e!su tsurt"}</Name> now?</>} action="Cancel it" onConfirm={() => undefined} onClose={() => undefined}>Really?</Confirm>);
    const title = screen.getByRole("heading", { level: 2 });
    expect(title.textContent).toBe("Cancel \u202e!su tsurt now?");
    expect(title.querySelector("bdi.name")?.textContent).toBe("\u202e!su tsurt");
    // jsdom applies no style sheets: that the class does what it says is looked up in them.
    expect(readFileSync("src/styles.css", "utf8")).toMatch(/\.name \{ unicode-bidi: isolate; \}/);
  });
});
