/** The routing tree, and where an alert would go: the server's own answer, as `aiprism routes test` gives it. */

import { useQuery } from "@tanstack/react-query";
import { type Matcher, printMatchers } from "@/model/matchers";
import type { RouteNode } from "@/model/routing";
import { get } from "./http";
import type { Labels } from "./prometheus";

export interface Routing {
  readonly root: RouteNode;
  /** The channels of each receiver. */
  readonly receivers: Readonly<Record<string, readonly string[]>>;
  readonly warnings: readonly string[];
}

/** A route that takes an alert, and the group it is told with. */
export interface Taking {
  readonly id: string;
  readonly receiver: string;
  readonly group: Labels;
  readonly muted_by: readonly string[];
}

export const useRouting = () =>
  useQuery({
    queryKey: ["routing"],
    queryFn: async ({ signal }) => (await get("/aiprism/v1/routes", { signal })) as Routing,
    refetchInterval: 60_000, // it is read anew when it changes, and hours begin and end
  });

/** The routes that take an alert with these labels. */
async function takingOf(labels: readonly Matcher[], signal?: AbortSignal): Promise<readonly Taking[]> {
  const label = labels.map((each) => printMatchers([each]));
  const answer = await get("/aiprism/v1/routes/test", { query: { label }, signal });
  return (answer as { routes: readonly Taking[] }).routes;
}

/** The same, as it is asked while one types; nothing is asked where there are no labels. */
export const useTaking = (labels: readonly Matcher[]) =>
  useQuery({
    queryKey: ["routing", "taking", labels],
    queryFn: ({ signal }) => takingOf(labels, signal),
    enabled: labels.length > 0,
    placeholderData: (before) => before,
  });
