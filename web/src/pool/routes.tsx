import { Activity } from "lucide-react";
import type { RouteObject } from "react-router";
import { LiveProvider } from "../api/live";
import { useMe } from "../api/session";
import { Gate } from "../app/Gate";
import { NotFound } from "../app/NotFound";
import { Shell } from "../app/Shell";
import { SignInPage } from "../app/SignInPage";
import { useAccountMenu } from "../app/useAccountMenu";

const NAV = [{ to: "/", text: "Health", icon: <Activity aria-hidden className="size-4" />, end: true }];

function Frame() {
  const me = useMe();
  return <Shell server="pool" nav={NAV} user={me.username} userItems={useAccountMenu()} shortcuts={[]} />;
}

function Root() {
  return <Gate anonymous={<SignInPage server="pool" />}><LiveProvider><Frame /></LiveProvider></Gate>;
}

export const routes: RouteObject[] = [{ element: <Root />, children: [{ path: "*", element: <NotFound /> }] }];
