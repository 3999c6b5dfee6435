/** A dashboard of the page while it is changed: kept until it is saved or thrown away, whatever else comes from the server. */

import { useCallback, useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import type { DashboardDocument, SavedDashboard } from "@/api/dashboards";
import { withValues } from "@/components/time";
import { begun, changed, type Draft, discarded, isChanged, redone, undone } from "@/model/dashboard/draft";
import type { Json } from "@/model/dashboard/types";

export interface Editing {
  /** What the draft was made of: where another was saved meanwhile, the server says so. */
  readonly of: DashboardDocument;
  readonly draft: Draft;
  readonly dirty: boolean;
  /** `what` is changed, as `draft.changed` has it. */
  readonly change: (by: (json: Json) => Json, what?: string) => void;
  readonly undo: () => void;
  readonly redo: () => void;
  readonly discard: () => void;
  /** It was saved as `json`, under another version. */
  readonly saved: (json: Json, as: Partial<SavedDashboard>) => void;
}

/** `json` is the dashboard of `document` as it can be edited. */
export function useEditing(document: DashboardDocument, json: Json): Editing {
  const [state, set] = useState({ of: document, made: document, draft: begun(json) });
  const dirty = useMemo(() => isChanged(state.draft), [state.draft]);
  if (state.made !== document && !dirty) set({ of: document, made: document, draft: begun(json) });
  const step = useCallback((by: (draft: Draft) => Draft) => set((now) => ({ ...now, draft: by(now.draft) })), []);
  const acts = useMemo(
    () => ({
      change: (by: (json: Json) => Json, what?: string) => step((draft) => changed(draft, by(draft.json), what)),
      undo: () => step(undone),
      redo: () => step(redone),
      discard: () => step(discarded),
      saved: (base: Json, as: Partial<SavedDashboard>) =>
        set((now) => ({ ...now, of: { ...now.of, ...as }, draft: { ...now.draft, base } })),
    }),
    [step],
  );
  return { ...acts, of: state.of, draft: state.draft, dirty };
}

export interface Mode {
  readonly on: boolean;
  /** The number of the panel whose editor is open; none where the dashboard is arranged. */
  readonly panel: number | null;
  readonly arrange: () => void;
  readonly open: (panel: number) => void;
  readonly close: () => void;
}

/** What is edited, by the address. */
export function useMode(): Mode {
  const [params, setParams] = useSearchParams();
  const goto = useCallback(
    (values: Readonly<Record<string, string>>) => setParams((before) => withValues(before, values)),
    [setParams],
  );
  const panel = params.get("edit");
  return {
    on: params.get("do") === "edit",
    panel: panel ? Number(panel) : null,
    arrange: useCallback(() => goto({ do: "edit", edit: "", panel: "" }), [goto]),
    open: useCallback((id: number) => goto({ do: "edit", edit: String(id), form: "", panel: "" }), [goto]),
    close: useCallback(() => goto({ do: "", edit: "", form: "" }), [goto]),
  };
}
