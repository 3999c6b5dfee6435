import { Button } from "@mantine/core";
import { useSearchParams } from "react-router";
import { cssColour } from "@/model/colours";
import { switched, switches, withSwitch } from "@/model/dashboard/annotations";
import type { Annotation } from "@/model/dashboard/types";

/** The annotations of a dashboard, to be switched on and off. */
export function Switches({ annotations }: { annotations: readonly Annotation[] }) {
  const [params, setParams] = useSearchParams();
  return switches(switched(annotations, params)).map(({ name, enabled, colour }) => (
    <Button
      key={name}
      size="compact-xs"
      variant="default"
      aria-pressed={enabled}
      title={`${enabled ? "hide" : "show"} ${name} on the charts`}
      onClick={() => setParams((before) => withSwitch(before, annotations, name, !enabled), { replace: true })}
    >
      <i className="dot" style={{ background: enabled ? cssColour(colour) : "var(--line)", marginRight: 6 }} />
      <span className={enabled ? undefined : "quiet"}>{name}</span>
    </Button>
  ));
}
