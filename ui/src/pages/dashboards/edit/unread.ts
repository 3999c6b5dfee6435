/** Texts of an editor that cannot be read as they stand, and so are in nothing that is saved. */

import { createContext, useCallback, useContext, useEffect, useId, useState } from "react";

export type Unread = ReadonlyMap<string, string>;

/** Takes what a text is called by its id; nothing once it can be read. */
type Tell = (id: string, label: string) => void;

export const Unreadable = createContext<Tell>(() => undefined);

/** The labels of what cannot be read, by id, and what takes them. */
export function useUnread(): readonly [Unread, Tell] {
  const [unread, set] = useState<Unread>(new Map());
  const tell = useCallback(
    (id: string, label: string) =>
      set((before) => {
        if ((before.get(id) ?? "") === label) return before;
        const others = [...before].filter(([other]) => other !== id);
        return new Map(label ? [...others, [id, label]] : others);
      }),
    [],
  );
  return [unread, tell];
}

/** Tells that the text called `label` cannot be read while it stands there with a fault. */
export function useTold(label: string, fault: boolean): void {
  const [id, tell] = [useId(), useContext(Unreadable)];
  useEffect(() => {
    tell(id, fault ? label : "");
    return () => tell(id, "");
  }, [id, tell, label, fault]);
}
