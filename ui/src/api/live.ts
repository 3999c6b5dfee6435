/**
 * What changes on the server, as it changes: one stream of server-sent events for all tabs of this browser.
 *
 * A browser opens six connections to a server and no more, so a stream per tab would starve the seventh tab. The tab that
 * holds a lock listens for all; the others hear it over a channel, and one of them takes over when it is closed. A tab that is
 * opened later asks whether there is a stream.
 */

import { type Query, useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { followed } from "./stream";

/** `topic` says what changed, `data` what it is now. */
export interface Change {
  readonly topic: string;
  readonly data: unknown;
}

const STREAM = "/aiprism/v1/live";
const NAME = "aiprism-live";
const TOPICS = ["incidents", "alerts", "silences"] as const;
/** Query keys begin with the topic whose change makes them stale. */
export type Topic = (typeof TOPICS)[number];

type Listener = (change: Change) => void;

const listeners = new Set<Listener>();
const watchers = new Set<() => void>();
let connected = false;
let started = false;

function begin(): void {
  if (started) return;
  started = true;
  const channel = new BroadcastChannel(NAME);
  const tell = (change: Change) => {
    hear(change);
    channel.postMessage(change);
  };
  let leads = false;
  const lead = () => {
    leads = true;
    listen(tell);
    return new Promise<never>(() => undefined); // the lock is held as long as this tab lives
  };
  channel.onmessage = ({ data }: MessageEvent<Change>) => {
    if (data.topic !== "asked") hear(data);
    else if (leads) channel.postMessage({ topic: "presence", data: connected });
  };
  channel.postMessage({ topic: "asked", data: null });
  if (navigator.locks) void navigator.locks.request(NAME, lead);
  else void lead(); // a page over plain HTTP from another host has no locks
}

function hear(change: Change): void {
  const { topic, data } = change;
  if (topic === "connection" || topic === "presence") {
    connected = Boolean(data);
    for (const watcher of watchers) watcher();
  }
  if (topic === "presence") return; // nothing was missed: it is as it was
  for (const listener of listeners) listener(change);
}

function listen(tell: Listener): void {
  followed(STREAM, (source) => {
    source.onopen = () => tell({ topic: "connection", data: true });
    source.onerror = () => tell({ topic: "connection", data: false });
    for (const topic of TOPICS) {
      source.addEventListener(topic, ({ data }: MessageEvent<string>) => tell({ topic, data: JSON.parse(data) }));
    }
  });
}

/**
 * Queries whose key begins with a topic are asked again when it changes, and all of them once the stream is back; then those, too,
 * that failed meanwhile.
 */
export function useLive(): void {
  const client = useQueryClient();
  useEffect(() => {
    begin();
    const listener: Listener = ({ topic, data }) => {
      if (topic === "connection") {
        const stale = ({ queryKey: [about], state }: Query) =>
          TOPICS.includes(about as Topic) || state.status === "error";
        if (data) void client.invalidateQueries({ predicate: stale });
      } else void client.invalidateQueries({ queryKey: [topic] });
    };
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, [client]);
}

/** Whether changes are heard of at present. */
export function useConnected(): boolean {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => connected,
  );
}
