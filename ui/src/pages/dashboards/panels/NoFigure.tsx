import { Nothing } from "@/components/states";
import { at, text } from "@/model/dashboard/options";
import type { Json } from "@/model/dashboard/types";

/** Of what was found nothing is a number that the panel shows: which field it looks for. */
export function NoFigure({ options }: { options: Json }) {
  const wanted = text(at(options, "reduceOptions.fields"));
  return (
    <Nothing title="No number to show">
      {wanted ? (
        <>
          No field is called <code>{wanted}</code>.
        </>
      ) : (
        "What was found is text and times."
      )}
    </Nothing>
  );
}
