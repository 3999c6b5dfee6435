/** A table that can be sorted, and that draws only the rows in sight once there are many. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useMemo, useRef, useState } from "react";

export interface Column<T> {
  readonly title: string;
  readonly cell: (row: T) => ReactNode;
  /** What it is sorted by; without it the column cannot be. */
  readonly by?: (row: T) => string | number | null;
  readonly number?: boolean;
  readonly small?: boolean; // shown on small screens too
  readonly width?: string;
}

interface Props<T> {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly id: (row: T, at: number) => string;
  /** Above so many rows only those in sight are drawn, in a box of `height`. */
  readonly many?: number;
  readonly height?: number;
  readonly onPick?: (row: T) => void;
  /** How it is sorted until somebody sorts it. */
  readonly first?: { readonly title: string; readonly up: boolean } | null;
  /** A text below each column. */
  readonly foot?: readonly string[] | null;
}

interface Order {
  readonly at: number;
  readonly up: boolean;
}

const ROW = 29;

export function Table<T>({ label, columns, rows, id, many = 200, height = 520, onPick, first, foot }: Props<T>) {
  const [chosen, setOrder] = useState<Order | null | undefined>(undefined);
  const order = chosen === undefined ? orderOf(columns, first) : chosen;
  const sorted = useMemo(() => inOrder(rows, columns, order), [rows, columns, order]);
  const box = useRef<HTMLDivElement>(null);
  const virtual = sorted.length > many;
  const window = useVirtualizer({
    count: virtual ? sorted.length : 0,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const items = window.getVirtualItems();
  const shown = virtual ? items.map((item) => item.index) : sorted.map((_, at) => at);
  const before = items[0]?.start ?? 0;
  const after = virtual ? window.getTotalSize() - (items.at(-1)?.end ?? 0) : 0;
  return (
    <div
      ref={box}
      className="scroll"
      style={virtual ? { maxHeight: height, overflowY: "auto" } : undefined}
      tabIndex={virtual ? 0 : undefined}
    >
      <table className="table" aria-label={label} aria-rowcount={sorted.length}>
        <thead>
          <tr>
            {columns.map((column, at) => (
              <th
                key={column.title}
                className={className(column)}
                style={{ width: column.width }}
                aria-sort={sortOf(order, at)}
              >
                {column.by ? (
                  <button type="button" className="sort" onClick={() => setOrder(next(order, at, column.number))}>
                    {column.title}
                    {order?.at === at && (order.up ? " ↑" : " ↓")}
                  </button>
                ) : (
                  column.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {virtual && before > 0 && <tr style={{ height: before }} aria-hidden />}
          {shown.map((at) => {
            const row = sorted[at]!;
            return (
              <tr key={id(row, at)} onClick={onPick && (() => onPick(row))} style={onPick && { cursor: "pointer" }}>
                {columns.map((column) => (
                  <td key={column.title} className={className(column)}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            );
          })}
          {virtual && after > 0 && <tr style={{ height: after }} aria-hidden />}
        </tbody>
        {foot && (
          <tfoot>
            <tr>
              {columns.map((column, at) => (
                <td key={column.title} className={className(column)}>
                  {foot[at]}
                </td>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
    </div>
  );
}

function className<T>(column: Column<T>): string | undefined {
  return [column.number && "number", column.small === false && "hide-small"].filter(Boolean).join(" ") || undefined;
}

function orderOf<T>(columns: readonly Column<T>[], first: Props<T>["first"]): Order | null {
  const at = first ? columns.findIndex(({ title }) => title === first.title) : -1;
  return first && at >= 0 ? { at, up: first.up } : null;
}

function sortOf(order: Order | null, at: number): "ascending" | "descending" | undefined {
  if (order?.at !== at) return undefined;
  return order.up ? "ascending" : "descending";
}

function next(order: Order | null, at: number, numeric = false): Order | null {
  if (order?.at !== at) return { at, up: !numeric }; // the largest number first, the first name first
  return order.up === !numeric ? { at, up: numeric } : null;
}

function inOrder<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order | null): readonly T[] {
  const by = order && columns[order.at]?.by;
  if (!by) return rows;
  const sign = order.up ? 1 : -1;
  return rows.toSorted((one, other) => {
    const [a, b] = [by(one), by(other)];
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1; // what is unknown stands last either way
    return (
      sign *
      (typeof a === "number" && typeof b === "number"
        ? a - b
        : String(a).localeCompare(String(b), undefined, { numeric: true }))
    );
  });
}
