import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useEffect, useMemo, useState } from "react";
import { Boundary } from "@/components/Boundary";
import { useLatest } from "@/components/latest";
import { useUrl } from "@/components/time";
import { interpolate } from "@/model/dashboard/interpolate";
import { gridStyle, originOf, sections } from "@/model/dashboard/layout";
import type { Panel } from "@/model/dashboard/types";
import { type Drawing, marksFor } from "./marks";
import { PanelBox } from "./PanelBox";

interface GridProps extends Drawing {
  /** Opens the editor of a panel. */
  readonly edit: (panel: number) => void;
}

/** The panels of a dashboard, or one of them alone. */
export function Grid({ dashboard, scope, marks, adhoc, edit }: GridProps) {
  const [open, setOpen] = useState<Readonly<Record<number, boolean>>>({});
  const [viewed, setViewed] = useUrl("panel");
  const parts = useMemo(() => sections(dashboard.panels, scope.chosen, open), [dashboard.panels, scope.chosen, open]);
  const alone = viewed ? parts.flatMap(({ panels }) => panels).find(({ id }) => String(id) === viewed) : undefined;
  const editOf = (id: number) => edit(originOf(dashboard.panels, id)?.id ?? id);
  useEditKey(editOf);
  const box = (panel: Panel, height?: number) => (
    <Boundary key={panel.id} of={scope}>
      <PanelBox
        panel={panel}
        scope={scope}
        marks={marksFor(marks, panel.id)}
        adhoc={adhoc}
        height={height}
        together={dashboard.together ? dashboard.uid || dashboard.title : undefined}
        acts={[
          {
            label: viewed ? "Back to the dashboard" : "View alone",
            act: () => setViewed(viewed ? "" : String(panel.id), true),
          },
          { label: "Edit", act: () => editOf(panel.id) },
        ]}
      />
    </Boundary>
  );
  if (alone) return box(alone, 560);
  return parts.map(({ row, panels }, at) => (
    <section
      key={row ? `row ${row.id}` : `part ${at}`}
      style={{ display: "grid", gap: 8 }}
      aria-label={row?.title || undefined}
    >
      {row && (
        <button
          type="button"
          className="dashrow"
          aria-expanded={!row.shut}
          onClick={() => setOpen({ ...open, [row.id]: row.shut })}
        >
          {row.shut ? <IconChevronRight size={14} /> : <IconChevronDown size={14} />}
          {interpolate(row.title, { ...scope, chosen: { ...scope.chosen, ...row.scoped } }, "text")}
          {row.shut && row.inside.length > 0 && <span className="quiet"> ({row.inside.length} panels)</span>}
        </button>
      )}
      {panels.length > 0 && (
        <div className="dashgrid">
          {panels.map((panel) => (
            <div key={panel.id} style={gridStyle(panel.place)}>
              {box(panel)}
            </div>
          ))}
        </div>
      )}
    </section>
  ));
}

const TYPED_INTO = "input, textarea, select, [contenteditable=true], [role=menu], [role=dialog]";

/** `e` edits the panel that has the focus, or else the one under the pointer. */
function useEditKey(edit: (panel: number) => void): void {
  const latest = useLatest(edit);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.key !== "e" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (target.closest(TYPED_INTO)) return;
      const panel =
        target.closest<HTMLElement>("[data-panel]") ?? document.querySelector<HTMLElement>("[data-panel]:hover");
      if (panel) latest.current(Number(panel.dataset.panel));
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [latest]);
}
