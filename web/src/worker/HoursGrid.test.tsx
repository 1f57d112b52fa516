import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { describe, expect, it } from "vitest";
import { violations } from "../testing/axe";
import { HoursGrid } from "./HoursGrid";
import { always, fromIntervals, toIntervals } from "./model/hours";

let shown = always();

function Held() {
  const [week, setWeek] = useState(fromIntervals({ ...always(), monday: ["08:00-09:00"] }));
  shown = toIntervals(week);
  return <HoursGrid week={week} onWeek={setWeek} />;
}

describe("HoursGrid", () => {
  it("is painted by keyboard alone", async () => {
    const user = userEvent.setup();
    render(<Held />);
    const eight = screen.getByRole("gridcell", { name: /^Monday 08:00 to 09:00: work$/ });
    expect(eight.getAttribute("aria-selected")).toBe("true");
    eight.focus();
    await user.keyboard("{Shift>}{ArrowRight}{ArrowDown}{/Shift}");
    expect(shown).toEqual({ ...always(), monday: ["08:00-10:00"], tuesday: ["09:00-10:00"] });
    expect(document.activeElement?.getAttribute("aria-label")).toContain("Tuesday 09:00");
    await user.keyboard(" ");
    expect(shown).toEqual({ ...always(), monday: ["08:00-10:00"] });
  });

  it("has one place in the order of Tab, and gives and takes whole days", async () => {
    const user = userEvent.setup();
    render(<Held />);
    expect(screen.getAllByRole("gridcell").filter((cell) => cell.tabIndex === 0)).toHaveLength(1);
    await user.click(screen.getByRole("button", { name: "All of Sunday" }));
    expect(shown.sunday).toEqual(["00:00-24:00"]);
    await user.click(screen.getByRole("button", { name: "Clear Sunday" }));
    expect(shown.sunday).toEqual([]);
  });

  it("is understood by assistive technology", async () => {
    const { container } = render(<Held />);
    expect(await violations(container)).toEqual([]);
  });
});
