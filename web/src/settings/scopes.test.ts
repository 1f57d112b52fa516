import { describe, expect, it } from "vitest";
import { browserOf, keyFaults, scopesFor } from "./scopes";

describe("scopes", () => {
  it("offers the pool's to operators alone", () => {
    expect(scopesFor("member").some((scope) => scope.id === "pool")).toBe(false);
    expect(scopesFor("operator").some((scope) => scope.id === "pool")).toBe(true);
  });

  it("names what is wrong with a key", () => {
    expect(keyFaults(" ", [])).toEqual({ name: expect.stringContaining("Name it"), scopes: expect.stringContaining("at least one") });
    expect(keyFaults("ü".repeat(101), ["account"]).name).toContain("202 bytes");
    expect(keyFaults("ci", ["tasks:read"])).toEqual({});
  });
});

describe("browserOf", () => {
  it.each([
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox 140 on Linux"],
    ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0", "Edge 156 on Windows"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 20_0 like Mac OS X) AppleWebKit/605.1.15 Version/20.0 Mobile/15E148 Safari/604.1", "Safari 20 on iPhone"],
    ["<script>alert(1)</script>", "<script>alert(1)</script>"],
    ["", "Unknown browser"],
  ])("reads %s", (about, shown) => {
    expect(browserOf(about)).toBe(shown);
  });
});
