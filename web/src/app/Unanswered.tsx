import { History } from "lucide-react";
import type { ReactNode } from "react";
import type { Standing } from "../api/submission";
import { Button } from "../ui";

type Props = {
  standing: Standing;
  /** Where one can see whether it happened, such as a link to the statement. */
  where: ReactNode;
  /** Forgets the earlier try. */
  onForget: () => void;
};

function words(standing: Exclude<Standing, "none">, where: ReactNode): ReactNode {
  switch (standing) {
    case "same":
      return <>The last try got no answer: <strong>it may have happened already</strong>. The same again does nothing twice.</>;
    case "other":
      return <>An earlier try got no answer and may have happened already. <strong>This is another one and counts on its own</strong>: both may happen. Look at {where} first.</>;
    case "earlier":
      return <>An earlier try got no answer and may have happened already. The same again does nothing twice; anything else counts on its own. Look at {where}.</>;
  }
}

/** Says that something was sent and not answered, and what sending again would do. */
export function Unanswered({ standing, where, onForget }: Props) {
  return (
    <div role="status">
      {standing === "none" ? null : (
        <div className="border-line bg-wait-soft flex flex-wrap items-start gap-2.5 rounded-lg border p-3">
          <History aria-hidden className="text-wait mt-0.5 size-4 shrink-0" />
          <p className="min-w-0 flex-1">{words(standing, where)}</p>
          {standing === "same" ? null : <Button small onClick={onForget}>I have looked</Button>}
        </div>
      )}
    </div>
  );
}
