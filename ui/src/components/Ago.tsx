/**
 * Times that go on while one looks: how long ago, how long until, how long already.
 *
 * A page may be open for hours and its range of time stand still (`useTime().now` is that of the last refresh); alerts that fire
 * meanwhile would be told as yet to come, and a deadline never come nearer.
 */

import { useSyncExternalStore } from "react";
import { ago, dateTime, formatDuration, roughly } from "@/model/timerange";
import { useTime } from "./time";

const watchers = new Set<() => void>();
let ticking: ReturnType<typeof setInterval> | undefined;

function tick(): void {
  for (const watcher of watchers) watcher();
}

function watch(watcher: () => void): () => void {
  if (watchers.size === 0) ticking = setInterval(tick, 1000);
  watchers.add(watcher);
  return () => {
    watchers.delete(watcher);
    if (watchers.size === 0) clearInterval(ticking);
  };
}

/** What `told` says of the present second; whoever asks is drawn anew only when that changes. */
export function useClock<T extends string | number | boolean>(told: (now: number) => T): T {
  return useSyncExternalStore(watch, () => told(Math.floor(Date.now() / 1000)));
}

/**
 * `3m ago` or `in 3m`, with the moment itself when one points at it. What was done is `past`, never yet to come: the clock of the
 * browser may be late.
 */
export function Ago({ at, past = false }: { at: number; past?: boolean }) {
  const { utc } = useTime();
  const text = useClock((now) => ago(at, past ? Math.max(at, now) : now));
  return (
    <time className="nowrap" title={dateTime(at, utc)}>
      {text}
    </time>
  );
}

/** How long it took, or takes by now while it has no end. */
export function Lasting({ from, until }: { from: number; until: number | null }) {
  return <>{useClock((now) => formatDuration(roughly(Math.max(0, (until ?? now) - from))))}</>;
}
