/** Figures of the pages: see `measures/pages.spec.ts`. */
import { defineConfig } from "@playwright/test";
import shared from "./playwright.config";

export default defineConfig({ ...shared, testDir: "measures" });
