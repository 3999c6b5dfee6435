import { useMemo, useState } from "react";
import { type Metric, useMetrics } from "@/api/metrics";
import { Sought } from "@/components/Sought";
import { Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";

/** The metrics there are, with type and help; one picked becomes a query that matches its type. */
export function Browser({ onPick }: { onPick: (query: string) => void }) {
  const metrics = useMetrics();
  const [sought, setSought] = useState("");
  const columns = useMemo<Column<Metric>[]>(
    () => [
      {
        title: "metric",
        cell: (metric) => (
          <button
            type="button"
            className="sort mono"
            style={{ color: "var(--accent)", cursor: "pointer", background: "none", border: 0, padding: 0 }}
            onClick={() => onPick(firstQuestion(metric))}
          >
            {metric.name}
          </button>
        ),
        by: ({ name }) => name,
      },
      {
        title: "type",
        cell: ({ type }) => <span className="quiet">{type}</span>,
        by: ({ type }) => type,
        small: false,
      },
      { title: "help", cell: ({ help }) => help, small: false },
    ],
    [onPick],
  );
  return (
    <div style={{ paddingTop: 10 }}>
      <Sought label="find a metric" hint="words of a name or its help" value={sought} onChange={setSought} mb={6} />
      <Shown of={metrics}>
        {(all) => (
          <Table
            label="metrics"
            columns={columns}
            rows={found(all, sought)}
            id={({ name }) => name}
            many={50}
            height={320}
          />
        )}
      </Shown>
    </div>
  );
}

function found(metrics: readonly Metric[], sought: string): readonly Metric[] {
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  return metrics.filter(({ name, help }) =>
    words.every((word) => name.toLowerCase().includes(word) || help.toLowerCase().includes(word)),
  );
}

/** What one asks first of a metric: the rate of a counter, the 95th percentile of a histogram, a gauge as it is. */
export function firstQuestion({ name, type }: Metric): string {
  if (name.endsWith("_bucket")) return `histogram_quantile(0.95, sum by (le) (rate(${name}[5m])))`;
  if (type === "histogram" && !/_(sum|count)$/.test(name)) return `histogram_quantile(0.95, sum(rate(${name}[5m])))`;
  if (type === "counter" || /_(total|count|sum)$/.test(name)) return `sum(rate(${name}[5m]))`;
  return name;
}
