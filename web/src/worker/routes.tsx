import type { ComponentType } from "react";
import type { RouteObject } from "react-router";
import { NotFound } from "../app/NotFound";
import { WorkerFrame } from "./WorkerFrame";

/** A route whose code comes when somebody goes there. */
function page(path: string, load: () => Promise<{ default: ComponentType }>): RouteObject {
  return { path, lazy: async () => ({ Component: (await load()).default }) };
}

export const routes: RouteObject[] = [
  {
    element: <WorkerFrame />,
    children: [
      page("/", () => import("./Now")),
      page("when", () => import("./When")),
      page("safety", () => import("./Safety")),
      page("earnings", () => import("./Earnings")),
      page("standing", () => import("./Standing")),
      { path: "*", element: <NotFound /> },
    ],
  },
];
