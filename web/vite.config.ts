import { fileURLToPath } from "node:url";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const api = process.env["HIVEMIND_WEB_API"] ?? "http://127.0.0.1:8090";

// Three pages, one for each role's web server. Nothing is inlined: the pages are served with a policy that
// refuses inline scripts and styles.
export default defineConfig({
  plugins: [react(), tailwind()],
  resolve: { alias: { "@": here("./src") } },
  server: { fs: { allow: [here("."), here("../docs")] }, port: 5173, proxy: { "/api": { target: api, changeOrigin: false } } },
  build: {
    outDir: "dist",
    target: "es2022",
    assetsInlineLimit: 0,
    manifest: "manifest.json",
    rollupOptions: { input: { index: here("./index.html"), pool: here("./pool.html"), worker: here("./worker.html") } },
  },
  test: { environment: "jsdom", setupFiles: ["./src/testing/setup.ts"], include: ["src/**/*.test.{ts,tsx}"], testTimeout: 60_000 },
});
