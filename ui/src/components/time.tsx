/**
 * The one range of time all panels of a page show, held by the URL (`from`, `to`, `refresh`) so that an address can be
 * shared and Back goes back; and whether times are told in UTC, held by the browser.
 */

import { useLocalStorage } from "@mantine/hooks";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { useLocation, useSearchParams } from "react-router";
import { durationSeconds, OFF, type Range, resolve, type Span, USUAL, usualRefresh } from "@/model/timerange";

interface Time {
  readonly range: Range;
  /** The range in Unix seconds, as of the last refresh: every panel of a page asks for the same. */
  readonly span: Span;
  readonly now: number;
  readonly setRange: (range: Range) => void;
  /** How often everything is asked again: `10s`, or nothing. */
  readonly refresh: string;
  readonly setRefresh: (every: string) => void;
  readonly again: () => void;
  readonly utc: boolean;
  readonly setUtc: (utc: boolean) => void;
}

const Context = createContext<Time | null>(null);
const seconds = () => Date.now() / 1000;

export function TimeProvider({ children }: { children: ReactNode }) {
  const [params, setParams] = useSearchParams();
  const [now, setNow] = useState(seconds);
  const [utc, setUtc] = useLocalStorage({ key: "aiprism.utc", defaultValue: false, getInitialValueInEffect: false });
  const from = params.get("from") ?? USUAL.from;
  const to = params.get("to") ?? USUAL.to;
  const usual = usualRefresh(useLocation().pathname);
  const said = params.get("refresh") ?? usual;
  const refresh = said === OFF ? "" : said;

  const again = useCallback(() => setNow(seconds()), []);
  const setRange = useCallback(
    (range: Range) => {
      setNow(seconds());
      setParams((before) => withValues(before, { from: range.from, to: range.to }));
    },
    [setParams],
  );
  const setRefresh = useCallback(
    (every: string) =>
      setParams((before) => withValues(before, { refresh: every === usual ? "" : every || OFF }), { replace: true }),
    [usual, setParams],
  );

  useEffect(() => {
    const every = durationSeconds(refresh);
    if (!every) return;
    // A tab nobody looks at asks nothing; it catches up when it is looked at.
    const timer = setInterval(() => !document.hidden && again(), Math.max(1, every) * 1000);
    const seen = () => !document.hidden && again();
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [refresh, again]);

  const value = useMemo<Time>(() => {
    const range = { from, to };
    return { range, span: resolve(range, now), now, setRange, refresh, setRefresh, again, utc, setUtc };
  }, [from, to, now, setRange, refresh, setRefresh, again, utc, setUtc]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

/** The page's range of time. */
export function useTime(): Time {
  const time = useContext(Context);
  if (!time) throw new Error("useTime stands outside TimeProvider");
  return time;
}

/** Times within are told in UTC, whatever the browser keeps. */
export function InUtc({ children }: { children: ReactNode }) {
  const time = useTime();
  const value = useMemo(() => ({ ...time, utc: true }), [time]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

/** `params` with these values; an empty one is left out. */
export function withValues(params: URLSearchParams, values: Readonly<Record<string, string>>): URLSearchParams {
  const after = new URLSearchParams(params);
  for (const [name, value] of Object.entries(values)) value ? after.set(name, value) : after.delete(name);
  return after;
}

/** One value of the URL's query, and how to change it; `push` leaves a step to go back to. */
export function useUrl(name: string, usual = ""): [string, (value: string, push?: boolean) => void] {
  const [params, setParams] = useSearchParams();
  const set = useCallback(
    (value: string, push = false) =>
      setParams((before) => withValues(before, { [name]: value === usual ? "" : value }), { replace: !push }),
    [name, usual, setParams],
  );
  return [params.get(name) ?? usual, set];
}

/** The address of another page in the same range of time. */
export function useGoto(): (path: string, query?: Readonly<Record<string, string>>) => string {
  const [params] = useSearchParams();
  return useCallback(
    (path, query = {}) => {
      const kept = Object.fromEntries(["from", "to", "refresh"].map((name) => [name, params.get(name) ?? ""]));
      const text = withValues(new URLSearchParams(), { ...kept, ...query }).toString();
      return text ? `${path}?${text}` : path;
    },
    [params],
  );
}
