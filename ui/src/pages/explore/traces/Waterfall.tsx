import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, memo, useCallback, useEffect, useMemo, useRef } from "react";
import { useLatest } from "@/components/latest";
import { type Waterfall as Fall, following, placed, type Row, ruler, unfolded } from "@/model/trace";
import { format } from "@/model/units";

interface Props {
  readonly fall: Fall;
  readonly window: readonly [number, number];
  readonly folded: ReadonlySet<number>;
  readonly onFold: (folded: ReadonlySet<number>) => void;
  readonly found: readonly number[];
  readonly at: number; // the row that is picked, or -1
  readonly onPick: (row: number) => void;
  readonly onZoom: (window: readonly [number, number]) => void;
}

const HEIGHT = 24;
const MOST_HEIGHT = 620;
const INDENT = 11;
const DEEPEST = 14; // what lies deeper is indented no further

/** Spans as bars over time, those in sight alone: heavy where the critical path runs, red where they failed. */
export function Waterfall({ fall, window, folded, onFold, found, at, onPick, onZoom }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const { rows } = fall;
  const shown = useMemo(() => unfolded(rows, folded), [rows, folded]);
  const marked = useMemo(() => new Set(found), [found]);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => HEIGHT,
    overscan: 10,
  });
  const place = shown.indexOf(at);
  useEffect(() => {
    if (place >= 0) virtual.scrollToIndex(place, { align: "auto" });
  }, [at]); // it follows what is picked, not what is folded

  const latest = useLatest({ folded, onFold });
  const fold = useCallback((row: number, away: boolean) => {
    const after = new Set(latest.current.folded);
    away ? after.add(row) : after.delete(row);
    latest.current.onFold(after);
  }, []);
  const pressed = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keyed(event.key);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // the page has keys, too
    act();
  };
  // The address follows a little later: a key that is held down goes on from where the last one led.
  const current = useRef(at);
  useEffect(() => {
    current.current = at;
  }, [at]);
  const go = (row: number) => {
    current.current = row;
    onPick(row);
  };
  const keyed = (key: string): (() => void) | undefined => {
    const at = current.current;
    const place = shown.indexOf(at);
    const row = rows[at];
    const to = (index: number) => () => go(shown[Math.max(0, Math.min(shown.length - 1, index))]!);
    const next = (among: readonly number[], direction: 1 | -1) => () => {
      const found = following(among, at, direction);
      if (found !== null) go(found);
    };
    const failed = () => rows.filter((each) => each.failed).map((each) => each.at);
    const keys: Readonly<Record<string, () => void>> = {
      ArrowDown: to(place + 1),
      ArrowUp: to(place - 1),
      PageDown: to(place + 20),
      PageUp: to(place - 20),
      Home: to(0),
      End: to(shown.length - 1),
      n: next(found, 1),
      N: next(found, -1),
      e: next(failed(), 1),
      E: next(failed(), -1),
    };
    if (row && key === "ArrowLeft") {
      return () =>
        row.last > at && !folded.has(at) ? fold(at, true) : row.node.parent !== null && go(row.node.parent);
    }
    if (row && key === "ArrowRight") {
      return () => (folded.has(at) ? fold(at, false) : row.last > at && go(at + 1));
    }
    return keys[key];
  };
  const items = virtual.getVirtualItems();
  return (
    <div className="fall">
      <Ruler window={window} />
      <div
        ref={box}
        className="fall-rows"
        role="tree"
        aria-label="spans"
        tabIndex={0}
        aria-activedescendant={at >= 0 && items.some(({ index }) => shown[index] === at) ? `span-${at}` : undefined}
        style={{ height: Math.min(MOST_HEIGHT, shown.length * HEIGHT + 2) }}
        onKeyDown={pressed}
      >
        <div role="none" style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {items.map(({ index, start }) => {
            const row = rows[shown[index]!]!;
            return (
              <Line
                key={row.at}
                row={row}
                top={start}
                colour={fall.services.get(row.span.service)!}
                window={window}
                folded={folded.has(row.at)}
                marked={marked.has(row.at)}
                picked={row.at === at}
                onPick={onPick}
                onFold={fold}
                onZoom={onZoom}
              />
            );
          })}
        </div>
      </div>
    </div>
  );
}

function Ruler({ window }: { window: readonly [number, number] }) {
  const [from, to] = window;
  return (
    <div className="fall-ruler" aria-hidden>
      <span />
      <div>
        {ruler(window).map((tick) => (
          <span key={tick} style={{ left: `${(100 * (tick - from)) / (to - from || 1)}%` }}>
            {format(tick, "ns")}
          </span>
        ))}
      </div>
    </div>
  );
}

interface LineProps {
  readonly row: Row;
  readonly top: number;
  readonly colour: string;
  readonly window: readonly [number, number];
  readonly folded: boolean;
  readonly marked: boolean;
  readonly picked: boolean;
  readonly onPick: (row: number) => void;
  readonly onFold: (row: number, away: boolean) => void;
  readonly onZoom: (window: readonly [number, number]) => void;
}

/** Kept as it is while one scrolls: only rows that come into sight are made. */
const Line = memo(function Line({
  row,
  top,
  colour,
  window,
  folded,
  marked,
  picked,
  onPick,
  onFold,
  onZoom,
}: LineProps) {
  const { at, last, span, node, begin, end, failed, critical } = row;
  const bar = placed(begin, end, window);
  const below = last - at;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree has the keys
    <div
      id={`span-${at}`}
      role="treeitem"
      tabIndex={-1}
      aria-level={node.depth + 1}
      aria-expanded={below > 0 ? !folded : undefined}
      aria-selected={picked}
      className={`fall-row${picked ? " picked" : ""}${marked ? " marked" : ""}`}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onPick(at)}
      onDoubleClick={() => end > begin && onZoom([begin, end])}
    >
      <div className="name" style={{ paddingLeft: Math.min(node.depth, DEEPEST) * INDENT }}>
        {below > 0 ? (
          <span
            className="fold"
            aria-hidden
            onClick={(event) => {
              event.stopPropagation();
              onFold(at, !folded);
            }}
          >
            {folded ? "▸" : "▾"}
          </span>
        ) : (
          <span className="fold" />
        )}
        <i className="of" style={{ background: colour }} />
        <span className={`cut${failed ? " bad" : ""}`} title={`${span.service} ${span.name}`}>
          <Signs of={row} />
          {span.name} <span className="faint">{span.service}</span>
          {folded && <span className="faint"> +{below}</span>}
        </span>
      </div>
      <div className="time">
        {bar && (
          <>
            <i
              className={failed ? "failed" : undefined}
              style={{ left: `${bar.left}%`, width: `${bar.width}%`, background: failed ? undefined : colour }}
            />
            {critical.map(([from, to]) => {
              const part = placed(from, to, window);
              return part && <u key={from} style={{ left: `${part.left}%`, width: `${part.width}%` }} />;
            })}
            <span className="took" style={beside(bar)}>
              {format(span.duration_ns, "ns")}
            </span>
          </>
        )}
      </div>
    </div>
  );
});

/** Where the duration is written: behind the bar, before it, or at its end, as there is room. */
function beside({ left, width }: { left: number; width: number }) {
  if (left + width < 84) return { left: `${left + width}%`, paddingLeft: 5 };
  if (left > 16) return { right: `${100 - left}%`, paddingRight: 5 };
  return { right: `${100 - left - width}%`, paddingRight: 5, color: "var(--ink)" };
}

/** What is not as it should be: an error, a parent that is not there, a circle, a clock that differs. */
function Signs({ of: { failed, node } }: { of: Row }) {
  const all = [
    failed && (["✗", "failed"] as const),
    node.is_orphan && (["?", "its parent is not stored"] as const),
    node.in_cycle && (["↻", "it names itself as its caller"] as const),
    node.skew_ns !== 0 && (["⏱", "its clock differs"] as const),
  ].filter((each) => each !== false);
  return all.map(([sign, text]) => (
    <span key={sign} role="img" aria-label={text} title={text}>
      {sign}{" "}
    </span>
  ));
}
