/** Records as lines: only those in sight are drawn, more are fetched as one scrolls on, and one opens to all it knows. */

import { useMediaQuery } from "@mantine/hooks";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useRef } from "react";
import { useTime } from "@/components/time";
import { fieldOf, type LogRecord, levelColour, levelKind } from "@/model/logs";
import { clockTime, dateTime } from "@/model/timerange";
import { Details } from "./Details";

interface Props {
  readonly records: readonly LogRecord[];
  readonly columns: readonly string[];
  readonly wrap: boolean;
  /** The number of the line that is open, as text; empty for none. */
  readonly open: string;
  readonly onOpen: (key: string) => void;
  readonly onTerm: (name: string, value: string, out: boolean) => void;
  readonly onColumn: (name: string) => void;
  /** Asks for more: the end is in sight. */
  readonly onEnd?: () => void;
  readonly foot: string;
  readonly height?: number | string;
}

const ROW = 22;

export function Lines({ records, open, onOpen, onEnd, foot, wrap, height = "62vh", ...rest }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const list = useVirtualizer<HTMLDivElement, HTMLDivElement>({
    count: records.length + 1, // the last one tells how it goes on
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    // Only what may be taller than a line is measured: measuring lays out the page at each step.
    measureElement: (element) => ("tall" in element.dataset ? element.getBoundingClientRect().height : ROW),
    overscan: 12,
    useFlushSync: false, // scrolling goes on while lines are drawn
  });
  const narrow = useMediaQuery("(max-width: 760px)", false, { getInitialValueInEffect: false }); // a line has two there
  const items = list.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= records.length - 40) onEnd?.();
  }, [last, records.length, onEnd]);
  return (
    <div
      ref={box}
      className={`log-lines${wrap ? " wrapped" : ""}`}
      style={{ height }}
      tabIndex={0}
      role="list"
      aria-label="records"
    >
      <div style={{ height: list.getTotalSize(), position: "relative" }}>
        <div style={{ transform: `translateY(${items[0]?.start ?? 0}px)` }}>
          {items.map(({ index }) => {
            const record = records[index];
            return (
              <div
                key={index}
                data-index={index}
                data-tall={wrap || narrow || !record || (open && keyOf(record) === open) ? "" : undefined}
                ref={list.measureElement}
                role="listitem"
              >
                {record ? (
                  <Row record={record} open={open} onOpen={onOpen} {...rest} />
                ) : (
                  <div className="quiet foot">{foot}</div>
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

type RowProps = { readonly record: LogRecord } & Pick<Props, "columns" | "open" | "onOpen" | "onTerm" | "onColumn">;

/** Drawn once, however often the list moves. */
const Row = memo(function Row({ record, open, onOpen, ...rest }: RowProps) {
  const key = keyOf(record);
  const isOpen = key === open;
  return (
    <>
      <Line record={record} isOpen={isOpen} onOpen={() => onOpen(isOpen ? "" : key)} columns={rest.columns} />
      {isOpen && <Details record={record} onTerm={rest.onTerm} onColumn={rest.onColumn} />}
    </>
  );
});

/** What tells a record from others, as far as an address needs it. */
export function keyOf({ ts_ns, span_id, body }: LogRecord): string {
  let hash = 7;
  for (let at = 0; at < body.length; at++) hash = (Math.imul(hash, 31) + body.charCodeAt(at)) | 0;
  return `${ts_ns}-${span_id.slice(-4)}${(hash >>> 0).toString(36)}`;
}

export function Line({
  record,
  columns,
  isOpen,
  onOpen,
}: {
  record: LogRecord;
  columns: readonly string[];
  isOpen?: boolean;
  onOpen?: () => void;
}) {
  const { utc } = useTime();
  const at = record.ts_ns / 1e9;
  return (
    <button
      type="button"
      className="log-line"
      aria-expanded={isOpen}
      onClick={onOpen}
      style={{ borderColor: levelColour(record.level) }}
    >
      <time title={dateTime(at, utc)}>
        {clockTime(at, utc)}.{String(Math.floor(record.ts_ns / 1e6) % 1000).padStart(3, "0")}
      </time>
      <span className={`level ${levelKind(record.level)}`}>{record.level}</span>
      <span className="service cut quiet">{record.service}</span>
      {columns.map((name) => (
        <span key={name} className="column cut" title={`${name}: ${fieldOf(record, name)}`}>
          {fieldOf(record, name)}
        </span>
      ))}
      <span className="body">{record.body}</span>
    </button>
  );
}
