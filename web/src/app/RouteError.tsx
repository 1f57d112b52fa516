import { useRouteError } from "react-router";
import { ErrorBox } from "../ui";
import { useTitle } from "./title";

/** In place of a page that could not be shown, such as after an update of the server. */
export function RouteError() {
  const error = useRouteError();
  useTitle("Something went wrong");
  return (
    <div className="mx-auto max-w-xl p-6">
      <ErrorBox error={error} what="This page could not be shown." onRetry={() => window.location.reload()} />
    </div>
  );
}
