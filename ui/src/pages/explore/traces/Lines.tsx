import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import type { ToldLog, Waterfall } from "@/model/trace";
import { format } from "@/model/units";

interface Props {
  readonly logs: readonly ToldLog[];
  readonly fall: Waterfall;
  readonly onPick?: (spanId: string) => void;
}

/** Log lines of a trace by when they were written; with `onPick` each leads to its span. */
export function Lines({ logs, fall, onPick }: Props) {
  const columns: Column<ToldLog>[] = [
    {
      title: "after",
      cell: ({ ts_ns }) => <span className="quiet">{format(ts_ns - fall.start_ns, "ns")}</span>,
      by: ({ ts_ns }) => ts_ns,
      number: true,
      width: "80px",
    },
    { title: "level", cell: ({ level }) => <Tag of={level.toLowerCase()} />, by: ({ level }) => level, width: "60px" },
    ...(onPick
      ? [
          {
            title: "service",
            cell: ({ service }: ToldLog) => service,
            by: ({ service }: ToldLog) => service,
            small: false,
          },
        ]
      : []),
    {
      title: "line",
      cell: ({ body, span_id }) =>
        onPick && span_id ? (
          <button type="button" className="link" onClick={() => onPick(span_id)} title="its span">
            <code>{body}</code>
          </button>
        ) : (
          <code>{body}</code>
        ),
    },
  ];
  return (
    <Table label="log lines" columns={columns} rows={logs} id={({ ts_ns }, at) => `${ts_ns} ${at}`} height={360} />
  );
}
