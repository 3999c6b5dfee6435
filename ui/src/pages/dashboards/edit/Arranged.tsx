import { Button, VisuallyHidden } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { Boundary } from "@/components/Boundary";
import { Nothing } from "@/components/states";
import { arranged, duplicated, nudged, removed } from "@/model/dashboard/arrange";
import { gridStyle, moved, pixels, type Step, sections } from "@/model/dashboard/layout";
import type { Panel, Place } from "@/model/dashboard/types";
import type { Editing } from "../draft";
import { type Drawing, marksFor } from "../marks";
import { PanelBox } from "../PanelBox";
import { Handle, Size } from "./Handle";

interface Props extends Drawing {
  readonly editing: Editing;
  readonly open: (panel: number) => void;
}

interface Held {
  readonly id: number;
  readonly place: Place;
}

const NOTHING_CHOSEN = {}; // what is repeated stands once: it is what is moved

/** The panels of a dashboard, to be moved, resized, copied and taken away. */
export function Arranged({ dashboard, editing, scope, marks, adhoc, open }: Props) {
  const [shut, setShut] = useState<Readonly<Record<number, boolean>>>({});
  const [held, hold] = useState<Held | null>(null);
  const [told, tell] = useState("");
  const parts = useMemo(() => sections(dashboard.panels, NOTHING_CHOSEN, shut), [dashboard.panels, shut]);
  const nudge = (panel: Panel, step: Step) => {
    editing.change((json) => nudged(json, panel.id, step), `${panel.id} ${step}`);
    tell(`${panel.title || panel.type}: ${step}`);
  };
  const acts = ({ id }: Panel) => [
    { label: "Edit", act: () => open(id) },
    { label: "Duplicate", act: () => editing.change((json) => duplicated(json, id)[0]) },
    { label: "Move up", act: () => editing.change((json) => nudged(json, id, "up")) },
    { label: "Move down", act: () => editing.change((json) => nudged(json, id, "down")) },
    { label: "Remove", act: () => editing.change((json) => removed(json, id)) },
  ];
  const drop = (id: number, place: Place) => {
    hold(null);
    editing.change((json) => arranged(json, id, place));
  };
  const standing = (places: ReadonlyMap<number, Place>) => (panel: Panel) => {
    const { id } = panel;
    const place = places.get(id) ?? panel.place;
    const drag = {
      panel,
      hold: (to: Place) => hold({ id, place: to }),
      release: () => hold(null),
      drop: (to: Place) => drop(id, to),
    };
    return (
      <div key={id} style={gridStyle(place)} className={held?.id === id ? "arranged held" : "arranged"}>
        <Handle
          {...drag}
          nudge={(step) => nudge(panel, step)}
          edit={() => open(id)}
          remove={() => editing.change((json) => removed(json, id))}
        />
        <Boundary of={scope}>
          <PanelBox
            panel={panel}
            scope={scope}
            marks={marksFor(marks, id)}
            adhoc={adhoc}
            height={pixels(place.h)}
            acts={acts(panel)}
          />
        </Boundary>
        <Size {...drag} />
      </div>
    );
  };
  if (dashboard.panels.length === 0)
    return <Nothing title="This dashboard has no panels">“Add panel” puts one here and opens its editor.</Nothing>;
  return (
    <>
      <VisuallyHidden aria-live="polite">{told}</VisuallyHidden>
      {parts.map(({ row, panels }, at) => (
        <section
          key={row ? `row ${row.id}` : `part ${at}`}
          style={{ display: "grid", gap: 8 }}
          aria-label={row?.title || undefined}
        >
          {row && (
            <div style={{ display: "flex", gap: 8, alignItems: "center" }}>
              <button
                type="button"
                className="dashrow"
                style={{ flex: 1 }}
                aria-expanded={!row.shut}
                onClick={() => setShut({ ...shut, [row.id]: row.shut })}
              >
                {row.shut ? <IconChevronRight size={14} /> : <IconChevronDown size={14} />}
                {row.title || "row"}
              </button>
              <Button size="compact-xs" variant="default" onClick={() => open(row.id)}>
                edit row
              </Button>
              <Button
                size="compact-xs"
                variant="default"
                onClick={() => editing.change((json) => removed(json, row.id))}
              >
                remove row
              </Button>
            </div>
          )}
          {panels.length > 0 && <div className="dashgrid">{panels.map(standing(placesWhile(panels, held)))}</div>}
        </section>
      ))}
    </>
  );
}

/** Where panels would stand while one is held. They stay where they are in the document: what moves there loses the pointer. */
function placesWhile(panels: readonly Panel[], held: Held | null): ReadonlyMap<number, Place> {
  const all = held ? moved(panels, held.id, held.place) : panels;
  return new Map(all.map(({ id, place }) => [id, place]));
}
