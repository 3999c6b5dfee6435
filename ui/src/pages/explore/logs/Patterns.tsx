/** What the lines consist of: templates with how often each occurs; one leads to its lines. */

import { type Pattern, useLogPatterns } from "@/api/logs";
import { Spark } from "@/charts/Spark";
import { Ago } from "@/components/Ago";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useTime } from "@/components/time";
import type { Span } from "@/model/timerange";
import { format } from "@/model/units";

interface Props {
  readonly levels: readonly string[];
  readonly onPick: (query: string) => void;
}

const MOST_IN_SEARCH = 40; // ids in one search; the server takes fifty terms

export function Patterns({ levels, onPick }: Props) {
  const { span } = useTime();
  return (
    <Shown of={useLogPatterns(levels, span)} rows={8}>
      {({ patterns, lines, step, start, end }) =>
        patterns.length === 0 ? (
          <Nothing title="No pattern">No line came in within this range of time, or none of these levels.</Nothing>
        ) : (
          <>
            <div className="quiet" style={{ paddingBottom: 4 }}>
              {patterns.length} patterns in {format(lines, "short")} lines. Words of the search do not narrow them;
              levels do.
            </div>
            <Table
              label="patterns"
              columns={columns(lines, { start, end }, step, onPick)}
              rows={patterns}
              id={({ id }) => id}
              many={60}
              height={620}
            />
          </>
        )
      }
    </Shown>
  );
}

function columns(lines: number, span: Span, step: number, onPick: (query: string) => void): Column<Pattern>[] {
  return [
    { title: "lines", number: true, cell: ({ count }) => format(count, "short"), by: ({ count }) => count },
    {
      title: "share",
      number: true,
      small: false,
      cell: ({ count }) => format(count / Math.max(1, lines), "percentunit"),
      by: ({ count }) => count,
    },
    {
      title: "level",
      cell: ({ levels }) => Object.keys(levels).map((level) => <Tag key={level} of={level} kind={kind(level)} />),
      by: ({ levels }) => Object.keys(levels)[0] ?? "",
    },
    {
      title: "pattern",
      cell: (pattern) => (
        <button type="button" className="log-pattern mono" onClick={() => onPick(queryOf(pattern))}>
          {pattern.template.split("<*>").flatMap((part, at) => [...(at ? [<i key={at}>*</i>] : []), part])}
        </button>
      ),
      by: ({ template }) => template,
    },
    {
      title: "over time",
      small: false,
      width: "120px",
      cell: ({ series }) => <Spark values={course(series, span, step)} label="lines over time" />,
    },
    { title: "services", small: false, cell: ({ services }) => Object.keys(services).join(", ") },
    {
      title: "first",
      small: false,
      number: true,
      cell: ({ first_seen }) => <Ago at={first_seen} />,
      by: ({ first_seen }) => -first_seen,
    },
  ];
}

function kind(level: string): "bad" | "warn" | "" {
  return level === "ERROR" || level === "FATAL" ? "bad" : level === "WARN" ? "warn" : "";
}

function queryOf({ pattern_ids }: Pattern): string {
  const ids = pattern_ids.slice(0, MOST_IN_SEARCH);
  return ids.length === 1 ? `pattern_id:${ids[0]}` : `pattern_id:(${ids.join(" OR ")})`;
}

const POINTS = 40;

/** Lines in forty parts of the range. */
function course(series: Pattern["series"], { start, end }: Span, step: number): number[] {
  const width = Math.max(step, (end - start) / POINTS);
  const row = Array<number>(Math.ceil((end - start) / width)).fill(0);
  for (const [at, count] of series) {
    const place = Math.min(row.length - 1, Math.floor((at - start) / width));
    if (place >= 0) row[place]! += count;
  }
  return row;
}
