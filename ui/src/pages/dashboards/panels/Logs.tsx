import { useCallback, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { type LogQuery, useLogs } from "@/api/logs";
import { Fault, Loading, Nothing } from "@/components/states";
import { useGoto } from "@/components/time";
import { logAsk } from "@/model/dashboard/logsearch";
import { bool } from "@/model/dashboard/options";
import { withTerm } from "@/model/lucene";
import { Lines } from "@/pages/explore/logs/Lines";
import "@/pages/explore/logs/logs.css";
import type { PanelProps } from "./interface";

const NONE: readonly string[] = [];

/** Lines of logs that fit the panel's query; a line opens to all it knows, a value leads to Explore. */
export default function Logs({ panel, span, height, filled }: PanelProps) {
  const goto = useGoto();
  const navigate = useNavigate();
  const [open, setOpen] = useState("");
  const asks = panel.targets
    .filter(({ kind, hidden }) => kind === "logs" && !hidden)
    .map((target) => logAsk(target, filled(target.expr, target.expr.trim().startsWith("{") ? "regex" : "lucene")));
  const query = joined(asks.filter(({ impossible }) => !impossible).map((ask) => ask.query));
  const wanted = useMemo<LogQuery>(() => ({ query, levels: NONE }), [query]);
  const possible = asks.some(({ impossible }) => !impossible);
  const pages = useLogs(wanted, span, possible);
  const records = useMemo(() => {
    const stored = pages.data?.pages.flatMap(({ logs }) => logs) ?? [];
    return panel.options.sortOrder === "Ascending" ? stored.toReversed() : stored;
  }, [pages.data, panel.options.sortOrder]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = pages;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const explore = (text: string) => void navigate(goto("/explore/logs", { q: text }));
  const missing = asks.flatMap((ask) => ask.missing);
  if (asks.length === 0)
    return (
      <Nothing title="Nothing is asked">
        A panel of logs has a query for Loki or Elasticsearch, or one in Lucene with{" "}
        <code>"datasource": {'{"type": "loki"}'}</code>.
      </Nothing>
    );
  return (
    <>
      {missing.length > 0 && <div className="warn">Not shown here: {missing.join("; ")}.</div>}
      {pages.isError && <Fault error={pages.error} again={() => void pages.refetch()} />}
      {possible && pages.isPending && <Loading rows={6} />}
      {pages.data && records.length === 0 && (
        <Nothing title="No line matches">
          In this range of time nothing was logged that matches {query ? <code>{query}</code> : "the query"}.
        </Nothing>
      )}
      {records.length > 0 && (
        <Lines
          records={records}
          columns={NONE}
          wrap={bool(panel.options.wrapLogMessage)}
          open={open}
          onOpen={setOpen}
          onTerm={(name, value, out) => explore(withTerm(query, name, value, out))}
          onColumn={(name) => void navigate(goto("/explore/logs", { q: query, cols: name }))}
          onEnd={panel.options.sortOrder === "Ascending" ? undefined : more}
          foot={hasNextPage ? "more is fetched …" : "that is all there is in this range of time"}
          height={Math.max(80, height - (missing.length ? 24 : 0))}
        />
      )}
    </>
  );
}

/** Several searches as one that finds what any of them finds. */
function joined(queries: readonly string[]): string {
  return queries.length < 2 ? (queries[0] ?? "") : queries.map((each) => `(${each || "*"})`).join(" OR ");
}
