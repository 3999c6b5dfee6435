/** What a browser's tab is called: what its page is about, where that says so, else the page. */

import { useEffect, useSyncExternalStore } from "react";

let said: string | null = null;
const watchers = new Set<() => void>();

function say(text: string | null): void {
  said = text;
  for (const watcher of watchers) watcher();
}

/** Calls the tab after what the page is about, as long as it is open. */
export function useTitle(text: string): void {
  useEffect(() => {
    say(text);
    return () => say(null);
  }, [text]);
}

/** What the open page says it is about; null when it says nothing. */
export function useSaidTitle(): string | null {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => said,
  );
}
