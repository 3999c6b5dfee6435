/** A dashboard while it is changed: what it was, what it is now, and the steps between, back and on. */

import type { Json } from "./types";

export interface Draft {
  /** What was read, and what it is now. */
  readonly base: Json;
  readonly json: Json;
  readonly past: readonly Json[];
  readonly future: readonly Json[];
  /** What was changed last: letters typed into one field are one step. */
  readonly what: string;
}

const MOST = 200; // steps

export function begun(json: Json): Draft {
  return { base: json, json, past: [], future: [], what: "" };
}

/** The next step; one more of the same `what` goes on with the last step (an empty `what` never does). */
export function changed(draft: Draft, json: Json, what = ""): Draft {
  if (json === draft.json) return draft;
  const goesOn = what !== "" && what === draft.what;
  const past = goesOn ? draft.past : [...draft.past, draft.json].slice(-MOST);
  return { ...draft, json, past, future: [], what };
}

export function undone(draft: Draft): Draft {
  const json = draft.past.at(-1);
  if (json === undefined) return draft;
  return { ...draft, json, past: draft.past.slice(0, -1), future: [draft.json, ...draft.future], what: "" };
}

export function redone(draft: Draft): Draft {
  const [json, ...future] = draft.future;
  if (json === undefined) return draft;
  return { ...draft, json, past: [...draft.past, draft.json], future, what: "" };
}

/** What was read once more, as a step that leads back too. */
export function discarded(draft: Draft): Draft {
  return isChanged(draft) ? changed(draft, draft.base) : draft;
}

export function isChanged({ base, json }: Draft): boolean {
  return json !== base && JSON.stringify(json) !== JSON.stringify(base);
}
