/** What metrics there are, and how the server answers a query. */

import { useQuery } from "@tanstack/react-query";
import { get } from "./http";

export interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly unit: string;
}

/** Every metric that is stored, with what its senders say of it. */
export const useMetrics = () =>
  useQuery({
    queryKey: ["metrics"],
    staleTime: 60_000,
    queryFn: async ({ signal }) => {
      const [names, about] = await Promise.all([
        get("/api/v1/label/{name}/values", { path: { name: "__name__" }, signal }),
        get("/api/v1/metadata", { query: { limit_per_metric: 1 }, signal }),
      ]);
      const known = (about as { data: Record<string, readonly Omit<Metric, "name">[]> }).data;
      return (names as { data: readonly string[] }).data.map(
        (name): Metric => ({ name, ...((known[name] ?? known[family(name)])?.[0] ?? UNKNOWN) }),
      );
    },
  });

const UNKNOWN = { type: "unknown", help: "", unit: "" };

function family(name: string): string {
  return name.replace(/_(total|sum|count|bucket|created|info)$/, "");
}

/** How a query is answered, in lines; a tree as the server tells it. */
export const useExplained = (query: string, start: number, end: number, step: number, enabled: boolean) =>
  useQuery({
    queryKey: ["explain", query, start, end, step],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/explain", {
        query: { query, start: String(start), end: String(end), step: String(step) },
        signal,
      })) as unknown,
    enabled: enabled && query.trim() !== "",
  });
