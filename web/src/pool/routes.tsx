import type { ComponentType } from "react";
import type { RouteObject } from "react-router";
import { Gate } from "../app/Gate";
import { NotFound } from "../app/NotFound";
import { SignInPage } from "../app/SignInPage";
import { OperatorFrame } from "../operator/OperatorFrame";

/** A route whose code comes when somebody goes there. */
function page(path: string, load: () => Promise<{ default: ComponentType }>): RouteObject {
  return { path, lazy: async () => ({ Component: (await load()).default }) };
}

function Root() {
  return <Gate anonymous={<SignInPage server="pool" />}><OperatorFrame /></Gate>;
}

export const routes: RouteObject[] = [
  {
    element: <Root />,
    children: [
      page("/", () => import("../operator/Health")),
      page("topology", () => import("../operator/Topology")),
      page("queue", () => import("../operator/Queue")),
      page("nodes", () => import("../operator/Nodes")),
      page("nodes/:name", () => import("../operator/Node")),
      page("ledger", () => import("../operator/Ledger")),
      page("audit", () => import("../operator/Audit")),
      { path: "*", element: <NotFound /> },
    ],
  },
];
