import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import "../styles.css";
import { applyTheme } from "../lib/theme";
import { Toasts } from "../ui";
import { makeQueryClient } from "./query";

/** Puts a page's pieces together: colours, caches, messages. */
export function mount(app: ReactNode) {
  applyTheme();
  const root = document.getElementById("root");
  if (!root) throw new Error("the page has no #root");
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={makeQueryClient()}>
        <Toasts>{app}</Toasts>
      </QueryClientProvider>
    </StrictMode>,
  );
}
