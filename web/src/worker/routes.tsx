import { Cpu } from "lucide-react";
import type { RouteObject } from "react-router";
import { LiveProvider } from "../api/live";
import { NotFound } from "../app/NotFound";
import { Shell } from "../app/Shell";

const NAV = [{ to: "/", text: "Now", icon: <Cpu aria-hidden className="size-4" />, end: true }];
const nothing = () => Promise.resolve();

function Root() {
  return (
    <LiveProvider path="/worker/events" renewSession={nothing}>
      <Shell server="worker" who="the worker" nav={NAV} userItems={[]} shortcuts={[]} />
    </LiveProvider>
  );
}

export const routes: RouteObject[] = [{ element: <Root />, children: [{ path: "*", element: <NotFound /> }] }];
