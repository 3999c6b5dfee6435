/** The pages of Explore, each loaded when it is gone to. */

import { lazily } from "@/components/lazily";

export const Metrics = lazily(() => import("./metrics"));
export const Logs = lazily(() => import("./logs"));
export const Traces = lazily(() => import("./traces"));
export const Sql = lazily(() => import("./sql"));

const BY_NAME: Readonly<Record<string, { readonly ready: () => Promise<unknown> }>> = {
  metrics: Metrics,
  logs: Logs,
  traces: Traces,
  sql: Sql,
};

/** Loads the page of Explore that stands at an address. */
export function signalReady(pathname: string): Promise<unknown> | undefined {
  return BY_NAME[pathname.split("/")[2] ?? "metrics"]?.ready();
}
