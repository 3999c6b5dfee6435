import { expect, test } from "vitest";
import { following, matching, placed, revealed, rootOf, ruler, shares, type Told, unfolded, waterfall } from "./trace";

const START = 1_700_000_000_000_000_000;

/** Spans as [id, parent's place, service, begin and duration in ms, status]; the root is first. */
type Short = readonly [string, number | null, string, number, number, string?];

/** Unix nanoseconds are no whole numbers here: to the microsecond. */
const ms = (ns: number) => Math.round(ns / 1e3) / 1e3;

function told(spans: readonly Short[], path: readonly (readonly [string, number, number])[] = [], root = 0): Told {
  const depths: number[] = [];
  for (const [, parent] of spans) depths.push(parent === null ? 0 : depths[parent]! + 1);
  return {
    trace_id: "t",
    is_whole: true,
    logs: [],
    exemplars: [],
    spans: spans.map(([span_id, , service, begin, lasts, status = "unset"]) => ({
      trace_id: "t",
      span_id,
      parent_span_id: "",
      service,
      name: `do ${span_id}`,
      kind: "server",
      start_ns: START + begin * 1e6,
      duration_ns: lasts * 1e6,
      status,
      status_message: "",
      attributes: { "http.route": `/${span_id}` },
      resource: {},
      events: [],
    })),
    analysis: {
      root,
      nodes: spans.map(([span_id, parent], at) => ({
        at,
        span_id,
        parent,
        depth: depths[at]!,
        self_ns: 0,
        critical_ns: path.filter(([id]) => id === span_id).reduce((sum, [, from, to]) => sum + (to - from) * 1e6, 0),
        skew_ns: 0,
        is_orphan: false,
        in_cycle: false,
        logs: [],
      })),
      critical_path: path.map(([span_id, from, to]) => ({
        span_id,
        start_ns: START + from * 1e6,
        end_ns: START + to * 1e6,
      })),
      failures: [],
      repeated_spans: 0,
    },
  };
}

const SHOP = told(
  [
    ["a", null, "web", 0, 100],
    ["b", 0, "shop", 10, 50, "error"],
    ["c", 1, "db", 20, 30],
    ["d", 0, "shop", 70, 20],
  ],
  [
    ["a", 0, 10],
    ["c", 20, 50],
  ],
);

test("rows have their place in time, what is below them, and their part of the critical path", () => {
  const { rows, length, services } = waterfall(SHOP);
  expect(length).toBe(100e6);
  expect(rows.map(({ begin, end }) => [ms(begin), ms(end)])).toEqual([
    [0, 100],
    [10, 60],
    [20, 50],
    [70, 90],
  ]);
  expect(rows.map(({ last }) => last)).toEqual([3, 2, 2, 3]);
  expect(rows.map(({ critical }) => critical.length)).toEqual([1, 0, 1, 0]);
  expect(rows.map(({ failed }) => failed)).toEqual([false, true, false, false]);
  expect([...services.keys()]).toEqual(["web", "shop", "db"]);
});

test("a clock that runs behind lets nothing begin before the trace does", () => {
  const { rows, start_ns } = waterfall(
    told([
      ["a", null, "web", 0, 10],
      ["b", 0, "shop", -5, 3],
    ]),
  );
  expect(start_ns).toBe(START - 5e6);
  expect(rows.map(({ begin }) => ms(begin))).toEqual([5, 0]);
});

test("a trace is called after its root, though an orphan stands before it", () => {
  const trace = told(
    [
      ["o", null, "mail", 0, 90],
      ["r", null, "web", 10, 20],
    ],
    [],
    1,
  );
  const { rows, root } = waterfall(trace);
  expect([rows[0]!.span.service, root.span.service, rootOf(trace).service]).toEqual(["mail", "web", "web"]);
});

test.each([
  [[], [0, 1, 2, 3]],
  [[1], [0, 1, 3]],
  [[0], [0]],
  [[0, 1], [0]],
  [[2], [0, 1, 2, 3]],
])("with %j folded %j are shown", (folded, shown) => {
  expect(unfolded(waterfall(SHOP).rows, new Set(folded))).toEqual(shown);
});

test("what is picked is unfolded, and nothing else", () => {
  const { rows } = waterfall(SHOP);
  expect([...revealed(rows, new Set([0, 1, 3]), 2)]).toEqual([3]);
  const same = new Set([1]);
  expect(revealed(rows, same, 3)).toBe(same);
});

test.each([
  ["shop", [1, 3]],
  ["SHOP error", [1]],
  ["http.route=/c", [2]],
  ["do", [0, 1, 2, 3]],
  ["nothing", []],
  ["  ", []],
])("%s is found in %j", (text, found) => {
  expect(matching(waterfall(SHOP).rows, text)).toEqual(found);
});

test.each([
  [[2, 5], -1, 1, 2],
  [[2, 5], 2, 1, 5],
  [[2, 5], 5, 1, 2],
  [[2, 5], 2, -1, 5],
  [[], 0, 1, null],
] as const)("after %j at %j (%j) comes %j", (among, at, direction, next) => {
  expect(following(among, at, direction)).toBe(next);
});

test.each([
  [0, 100, [0, 100], { left: 0, width: 100 }],
  [25, 50, [0, 100], { left: 25, width: 25 }],
  [0, 100, [50, 75], { left: 0, width: 100 }],
  [60, 200, [50, 100], { left: 20, width: 80 }],
  [0, 10, [50, 100], null],
  [5, 5, [0, 0], null],
] as const)("%d to %d in %j stands at %j", (begin, end, window, place) => {
  expect(placed(begin, end, window)).toEqual(place);
});

test.each([
  [
    [0, 1000],
    [0, 200, 400, 600, 800, 1000],
  ],
  [
    [130, 420],
    [200, 300, 400],
  ],
  [[7, 7], [7]],
] as const)("a ruler of %j has lines at %j", (window, lines) => {
  expect(ruler(window)).toEqual(lines);
});

test("services are told by what they have of the critical path", () => {
  expect(
    shares(waterfall(SHOP).rows).map(({ service, critical_ns, errors }) => [service, critical_ns, errors]),
  ).toEqual([
    ["db", 30e6, 0],
    ["web", 10e6, 0],
    ["shop", 0, 1],
  ]);
});
