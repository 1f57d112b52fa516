import { createBrowserRouter, RouterProvider } from "react-router";
import { SessionProvider } from "../api/session";
import { mount } from "../app/mount";
import { RouteError } from "../app/RouteError";
import { routes } from "./routes";

const router = createBrowserRouter([{ errorElement: <RouteError />, children: routes }]);
mount(<SessionProvider><RouterProvider router={router} /></SessionProvider>);
