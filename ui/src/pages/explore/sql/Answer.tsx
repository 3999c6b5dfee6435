import { SegmentedControl } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { useSql } from "@/api/sql";
import { Graph } from "@/charts/Graph";
import { copy, csv, Panel, save } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { useGoto, useTime, useUrl } from "@/components/time";
import { cellText, distinctNames, isNumber, isTime, momentOf, overTime, type SqlAnswer } from "@/model/sqlanswer";
import { dateTime, stepFor } from "@/model/timerange";
import { format } from "@/model/units";

const POINTS = 120;

/** What a query gives, as a chart when it goes over time, and as a table. */
export function Answer({ query }: { query: string }) {
  const { span } = useTime();
  const answer = useSql(query, span, stepFor(span, POINTS));
  const [view, setView] = useUrl("view", "both");
  const course = useMemo(() => answer.data && overTime(answer.data), [answer.data]);
  const { data } = answer;
  return (
    <Panel
      title="Answer"
      note={data && `${format(data.rows.length, "locale")} rows in ${format(data.seconds, "s")}`}
      side={
        course && (
          <SegmentedControl
            size="xs"
            aria-label="shown as"
            data={["chart", "table", "both"]}
            value={view}
            onChange={setView}
          />
        )
      }
      takings={
        data
          ? [
              { label: "rows as CSV", act: () => save("answer.csv", csv(asCsv(data)), "text/csv") },
              { label: "copy the query", act: () => copy(query, "query") },
            ]
          : []
      }
    >
      <Shown of={answer} rows={8}>
        {(found) => (
          <>
            {found.truncated && (
              <div className="warn">
                There is more: these are the first {format(found.limit, "locale")} rows (query.sql_rows). Aggregate, or
                narrow the time.
              </div>
            )}
            {course && view !== "table" && (
              <Graph frame={{ ...course, warnings: [] }} label="answer over time" together="explore" />
            )}
            {(!course || view !== "chart") && <Rows answer={found} />}
          </>
        )}
      </Shown>
    </Panel>
  );
}

function Rows({ answer: { columns, rows } }: { answer: SqlAnswer }) {
  const goto = useGoto();
  const { utc } = useTime();
  const shown = useMemo(() => {
    const titles = distinctNames(columns.map(({ name }) => name));
    return columns.map(({ name, type }, at): Column<readonly unknown[]> => {
      const number = isNumber(type);
      const time = isTime(type);
      const told = (value: unknown) => {
        const at = time ? momentOf(value) : null;
        return at === null ? cellText(value) : dateTime(at, utc);
      };
      return {
        title: titles[at]!,
        cell: (row) => <Cell name={name} text={told(row[at])} at={goto} />,
        by: (row) => (number ? (row[at] === null ? null : Number(row[at])) : cellText(row[at])),
        number,
      };
    });
  }, [columns, goto, utc]);
  if (rows.length === 0)
    return <Nothing title="No rows">The query is right; in this range of time nothing fits it.</Nothing>;
  return <Table label="rows" columns={shown} rows={rows} id={(_, at) => String(at)} />;
}

function Cell({ name, text, at }: { name: string; text: string; at: ReturnType<typeof useGoto> }) {
  if (name === "trace_id" && /^[0-9a-f]{32}$/.test(text)) {
    return (
      <Link className="mono" to={at(`/explore/traces/${text}`)}>
        {text}
      </Link>
    );
  }
  return (
    <div className="cut sql-cell" title={text.length > 60 ? text : undefined}>
      {text}
    </div>
  );
}

function asCsv({ columns, rows }: SqlAnswer): (string | number | null)[][] {
  return [
    columns.map(({ name }) => name),
    ...rows.map((row) => row.map((value) => (typeof value === "number" ? value : cellText(value)))),
  ];
}
