/** Weekly reviews, as the server counts them. */

import { useQueries, useQuery } from "@tanstack/react-query";
import { endsOf, type Review } from "@/model/review";
import { get } from "./http";

const asked = (end: number) => ({
  queryKey: ["reviews", end] as const,
  queryFn: async ({ signal }: { signal: AbortSignal }) =>
    (await get("/aiprism/v1/reports/weekly", { query: { end }, signal })) as Review,
  staleTime: 60_000,
});

/** The week that ends at `end`, beside the one before. */
export const useReview = (end: number) => useQuery({ ...asked(end), placeholderData: (before) => before });

/** The reviews of the `weeks` weeks before `end`, the earliest first; none before all of them are there. */
export function useReviews(end: number, weeks: number): readonly Review[] {
  const answers = useQueries({ queries: endsOf(end, weeks).map(asked) });
  const found = answers.flatMap(({ data }) => data ?? []);
  return found.length === answers.length ? found : [];
}
