import type { ComponentType } from "react";
import { Navigate, type RouteObject, useLocation } from "react-router";
import { SessionLive } from "../api/live";
import { Gate } from "../app/Gate";
import { NotFound } from "../app/NotFound";
import { Frame } from "./Frame";
import { PublicFrame } from "./public/PublicFrame";

/** A route whose code comes when somebody goes there. */
function page(path: string, load: () => Promise<{ default: ComponentType }>): RouteObject {
  return { path, lazy: async () => ({ Component: (await load()).default }) };
}

function ToLogin() {
  const { pathname, search } = useLocation();
  return <Navigate to={`/login?next=${encodeURIComponent(pathname + search)}`} replace />;
}

function Inside() {
  return <Gate anonymous={<ToLogin />}><SessionLive><Frame /></SessionLive></Gate>;
}

const open: RouteObject[] = [
  page("/", () => import("./public/Landing")),
  page("evidence", () => import("./public/Evidence")),
  page("security", () => import("./public/Security")),
  page("docs", () => import("./public/Docs")),
  page("login", () => import("./public/Login")),
  page("register", () => import("./public/Register")),
];

/** Pages behind the sign-in. */
const inside: RouteObject[] = [
  page("home", () => import("./home/Home")),
  page("tasks", () => import("./tasks/Tasks")),
  page("tasks/:id", () => import("./task/Task")),
  page("wallet", () => import("./wallet/Wallet")),
  page("settings", () => import("../settings/Settings")),
];

export const routes: RouteObject[] = [
  { element: <Inside />, children: inside },
  { element: <PublicFrame />, children: [...open, { path: "*", element: <NotFound /> }] },
];
