/**
 * Parts of the program that are loaded when they are gone to, or before.
 *
 * React shows what stands in for a lazy part for 300 ms at least, however soon the part comes. One that was made `ready` stands in
 * the first picture; until then it is an ordinary lazy one, within a `Suspense`.
 */

import { type ComponentType, lazy, useState } from "react";

/** A part that could not be loaded. It is not asked for by itself again, but after `again`. */
export class Lacking extends Error {
  constructor(
    cause: unknown,
    readonly again: () => void,
  ) {
    super(
      "A part of this page could not be loaded: the server is away, or of another version than the page. Load the page again.",
      { cause },
    );
  }
}

export interface Lazily<P extends object> {
  (props: P): React.ReactNode;
  /** Loads it; it stands at once wherever it is shown from then on. */
  readonly ready: () => Promise<unknown>;
}

export function lazily<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): Lazily<P> {
  let loaded: ComponentType<P> | null = null;
  const ready = async () => {
    try {
      const part = await load();
      loaded = part.default;
      return part;
    } catch (cause) {
      throw new Lacking(cause, () => {
        Late = late();
      });
    }
  };
  const late = () => lazy(ready) as unknown as ComponentType<P>;
  let Late = late();
  const Part = (props: P) => {
    const [Kept] = useState(() => loaded ?? Late); // the same for as long as it is shown
    return <Kept {...props} />;
  };
  return Object.assign(Part, { ready });
}
