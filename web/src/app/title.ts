import { useEffect } from "react";

/** Names the page in the tab and in what screen readers say on arrival. */
export function useTitle(title: string, site = "HiveMind") {
  useEffect(() => {
    document.title = title ? `${title} \u00b7 ${site}` : site;
  }, [title, site]);
}
