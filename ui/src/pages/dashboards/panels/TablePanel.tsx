import { Select } from "@mantine/core";
import { useMemo, useState } from "react";
import { Spark } from "@/charts/Spark";
import { type Column, Table } from "@/components/Table";
import { useTime } from "@/components/time";
import { display, displayTime } from "@/model/dashboard/display";
import { titleOf } from "@/model/dashboard/frames";
import { at, num } from "@/model/dashboard/options";
import { reduced } from "@/model/dashboard/reduce";
import { type CellKind, cellKind, firstOrder, footOf, rangeOf, shareOf, toldApart } from "@/model/dashboard/table";
import type { Field, Frame } from "@/model/dashboard/types";
import type { PanelProps } from "./interface";
import { Linked } from "./Linked";

/** A table; where there are several, one of them, which can be chosen. */
export default function TablePanel({ panel, frames, height, leads }: PanelProps) {
  const { utc } = useTime();
  const [chosen, setChosen] = useState(0);
  const frame = frames[Math.min(chosen, frames.length - 1)];
  const columns = useMemo(() => (frame ? columnsOf(frame, utc, leads) : []), [frame, utc, leads]);
  const rows = useMemo(() => Array.from({ length: frame?.fields[0]?.values.length ?? 0 }, (_, row) => row), [frame]);
  return (
    <>
      {frames.length > 1 && (
        <Select
          size="xs"
          aria-label="which series"
          data={frames.map((each, place) => ({ value: String(place), label: each.name || each.refId }))}
          value={String(chosen)}
          onChange={(value) => setChosen(Number(value ?? 0))}
        />
      )}
      <Table
        label={panel.title || "table"}
        columns={columns}
        rows={rows}
        id={String}
        height={height}
        many={100}
        first={firstOrder(panel.options)}
        foot={frame && footOf({ ...frame, fields: frame.fields.filter(isShown) }, panel.options)}
      />
    </>
  );
}

function columnsOf(frame: Frame, utc: boolean, leads: PanelProps["leads"]): Column<number>[] {
  const shown = frame.fields.filter(isShown);
  const titles = toldApart(shown.map((field) => titleOf(field, frame)));
  return shown.map((field, place) => {
    const kind = cellKind(field.config);
    const drawn: Drawn = { field, frame, kind, range: kind === "gauge" ? rangeOf(field) : undefined, utc, leads };
    return {
      title: titles[place]!,
      number:
        field.config.custom.align === "right" || (field.kind === "number" && field.config.custom.align !== "left"),
      width: field.config.custom.width ? `${num(field.config.custom.width, 0)}px` : undefined,
      by: (row: number) => sortable(field, row),
      cell: (row: number) => <Cell {...drawn} row={row} />,
    };
  });
}

function isShown({ config }: Field): boolean {
  return config.custom.hidden !== true && at(config.custom, "hideFrom.viz") !== true;
}

function sortable(field: Field, row: number): string | number | null {
  const value = field.values[row] ?? null;
  if (Array.isArray(value)) return reduced(value);
  return typeof value === "number" || typeof value === "string" ? value : null;
}

/** What the cells of a column have in common. */
interface Drawn {
  readonly field: Field;
  readonly frame: Frame;
  readonly kind: CellKind;
  /** What a gauge goes from and to. */
  readonly range: readonly [number, number] | undefined;
  readonly utc: boolean;
  readonly leads: PanelProps["leads"];
}

function Cell({ field, frame, kind, range, row, utc, leads }: Drawn & { readonly row: number }) {
  const value = field.values[row] ?? null;
  if (Array.isArray(value)) {
    return (
      <span style={{ display: "inline-flex", gap: 8 }}>
        <Spark values={value} label={`row ${row + 1} over time`} />{" "}
        {display(reduced(value, field.labels.calc), field.config).text}
      </span>
    );
  }
  if (field.kind === "time") return <span className="nowrap">{displayTime(value, utc)}</span>;
  const { text: shown, colour } = display(value, field.config);
  const said = (
    <Linked spot={{ field, frame, row }} leads={leads}>
      {shown}
    </Linked>
  );
  const share = range ? shareOf(range, value) : null;
  if (share !== null)
    return (
      <span className="cellgauge">
        <span className="barrail">
          <i style={{ width: `${(share * 100).toFixed(1)}%`, background: colour || "var(--accent)" }} />
        </span>
        {said}
      </span>
    );
  if (kind === "json") return <code>{shown}</code>;
  if (kind === "background" && colour)
    return (
      <span style={{ background: `color-mix(in srgb, ${colour} 28%, transparent)`, padding: "0 6px", borderRadius: 3 }}>
        {said}
      </span>
    );
  if (kind === "text-colour" && colour)
    return <span style={{ color: `color-mix(in oklab, ${colour} 62%, var(--ink))` }}>{said}</span>;
  return <>{said}</>;
}
