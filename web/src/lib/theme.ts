import { useState } from "react";

export type Theme = "system" | "light" | "dark";
const KEY = "theme";

function chosen(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

function apply(theme: Theme) {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  window.dispatchEvent(new Event("themechange"));
}

/** Applies what was chosen in an earlier visit; first thing in every page. */
export function applyTheme() {
  apply(chosen());
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(chosen);
  return [
    theme,
    (next) => {
      try {
        if (next === "system") localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, next);
      } catch {
        // Storage is switched off: the choice lasts as long as the page.
      }
      apply(next);
      setTheme(next);
    },
  ];
}

/** The colour behind a design token as the canvas understands it, such as `rgb(1, 2, 3)`. */
export function tokenColor(token: string, inside: Element = document.body): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${token})`;
  inside.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** Calls `redraw` when light turns to dark or back. Returns what ends that. */
export function onThemeChange(redraw: () => void): () => void {
  const query = window.matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", redraw);
  window.addEventListener("themechange", redraw);
  return () => {
    query.removeEventListener("change", redraw);
    window.removeEventListener("themechange", redraw);
  };
}
