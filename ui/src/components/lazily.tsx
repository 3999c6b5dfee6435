/**
 * Parts of the program that are loaded when they are gone to, or before.
 *
 * React shows what stands in for a lazy part for 300 ms at least, however soon the part comes. One that was made `ready` stands in
 * the first picture; until then it is an ordinary lazy one, within a `Suspense`.
 */

import { type ComponentType, lazy, useState } from "react";

export interface Lazily<P extends object> {
  (props: P): React.ReactNode;
  /** Loads it; it stands at once wherever it is shown from then on. */
  readonly ready: () => Promise<unknown>;
}

export function lazily<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): Lazily<P> {
  let loaded: ComponentType<P> | null = null;
  const ready = async () => {
    const part = await load();
    loaded = part.default;
    return part;
  };
  const Late = lazy(ready) as unknown as ComponentType<P>;
  const Part = (props: P) => {
    const [Kept] = useState(() => loaded ?? Late); // the same for as long as it is shown
    return <Kept {...props} />;
  };
  return Object.assign(Part, { ready });
}
