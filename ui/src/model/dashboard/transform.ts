/** Grafana's transformations, one after the other over the frames of a panel. What is not known is told, and left out. */

import { NO_FIELD } from "./fieldconfig";
import { apart, called, field, grouped, numbers, titleOf, together } from "./frames";
import { at, bool, maybe, num, object, objects, own, text, texts } from "./options";
import { pattern } from "./pattern";
import { calcName, reduced } from "./reduce";
import { RESHAPING } from "./reshape";
import type { Cell, Field, Frame, Json, Transformation } from "./types";

type Frames = readonly Frame[];
type Transform = (frames: Frames, options: Json) => Frames;

/** The frames after all transformations, and the ids of those that cannot be done here. */
export function transformed(
  frames: Frames,
  transformations: readonly Transformation[],
): { readonly frames: Frames; readonly missing: readonly string[] } {
  const missing: string[] = [];
  let now = frames;
  for (const { id, options, disabled } of transformations) {
    if (disabled) continue;
    const known = own(TRANSFORMS, id);
    if (known) now = known(now, options);
    else missing.push(`the transformation ${id}`);
  }
  return { frames: now, missing };
}

/** The name a transformation knows a field by. */
function nameOf(each: Field, frame: Frame): string {
  return titleOf(each, frame);
}

const only = (frame: Frame, keep: (each: Field) => boolean): Frame => ({ ...frame, fields: frame.fields.filter(keep) });

const organize: Transform = (frames, options) => {
  const excluded = object(options.excludeByName);
  const included = object(options.includeByName);
  const order = object(options.indexByName);
  const names = object(options.renameByName);
  const wanted = Object.values(included).some((each) => each === true);
  return frames.map((frame) => {
    const kept = frame.fields
      .map((each) => ({ each, name: nameOf(each, frame) }))
      .filter(({ each, name }) => {
        const said = (of: Json) => of[name] === true || of[each.name] === true;
        return wanted ? said(included) : !said(excluded);
      });
    const place = ({ each, name }: { each: Field; name: string }) => num(order[name] ?? order[each.name], kept.length);
    return {
      ...frame,
      fields: kept
        .toSorted((a, b) => place(a) - place(b))
        .map(({ each, name }) => renamed(each, text(names[name]) || text(names[each.name]))),
    };
  });
};

function renamed(each: Field, name: string): Field {
  return name ? { ...each, name, legend: name, config: { ...each.config, displayName: name } } : each;
}

const renameByRegex: Transform = (frames, { regex, renamePattern }) => {
  const by = pattern(text(regex));
  if (!by) return frames;
  return frames.map((frame) => ({
    ...frame,
    fields: frame.fields.map((each) => {
      const name = nameOf(each, frame);
      const next = by.replace(name, text(renamePattern));
      return next === name || each.kind === "time" ? each : renamed(each, next);
    }),
  }));
};

type Row = Map<string, Cell>;

/** The rows of all frames in one; rows that agree in all columns that every frame has become one. */
const merge: Transform = (frames) => {
  if (frames.length < 2) return frames;
  const columns = [...new Set(frames.flatMap(({ fields }) => fields.map(({ name }) => name)))];
  const shared = columns.filter((name) => frames.every(({ fields }) => fields.some((each) => each.name === name)));
  const all: Row[] = [];
  const byKey = new Map<string, Row[]>();
  for (const { fields } of frames) {
    const places = new Map<string, number>(); // of each key, where this frame is among the rows that have it
    const seen = new Set<string>();
    const length = fields[0]?.values.length ?? 0;
    for (let row = 0; row < length; row++) {
      const cells: Row = new Map(fields.map(({ name, values }) => [name, values[row] ?? null]));
      const whole = JSON.stringify([...cells.values()]);
      if (seen.has(whole)) continue;
      seen.add(whole);
      const key = JSON.stringify(shared.map((name) => cells.get(name)));
      const alike = byKey.get(key) ?? [];
      byKey.set(key, alike);
      // The same key with another value in a column is a row of its own; those before that clashed do so again.
      let place = places.get(key) ?? 0;
      while (place < alike.length && clash(alike[place]!, cells)) place += 1;
      places.set(key, place);
      if (place === alike.length) {
        alike.push(cells);
        all.push(cells);
      } else for (const [name, value] of cells) alike[place]!.set(name, value);
    }
  }
  const model = (name: string) => frames.flatMap(({ fields }) => fields).find((each) => each.name === name)!;
  return [
    {
      ...frames[0]!,
      form: "table",
      fields: columns.map((name) => ({ ...model(name), values: all.map((row) => row.get(name) ?? null) })),
    },
  ];
};

function clash(row: Row, cells: Row): boolean {
  return [...cells].some(([name, value]) => (row.get(name) ?? null) !== null && row.get(name) !== value);
}

/** Columns of all frames beside each other, by the values of one field (time where none is named). */
const joinByField: Transform = (frames, options) => {
  const by = text(options.byField);
  const inner = options.mode === "inner";
  const parts = frames.flatMap((frame) => {
    const key = frame.fields.find((each) =>
      by && by !== "Time" ? nameOf(each, frame) === by || each.name === by : each.kind === "time",
    );
    return key ? [{ frame, key }] : [];
  });
  if (parts.length === 0) return frames;
  const first = parts[0]!;
  const known = parts.map(({ key }) => new Set(key.values));
  const keys = [...new Set(known.flatMap((values) => [...values]))].filter(
    (value) => !inner || known.every((values) => values.has(value)),
  );
  if (first.key.kind === "time") keys.sort((a, b) => Number(a) - Number(b));
  const names = parts.flatMap(({ frame, key }) => frame.fields.flatMap((each) => (each === key ? [] : [each.name])));
  const numbered = counted(names);
  const columns = parts.flatMap(({ frame, key }) => {
    const place = new Map(key.values.map((value, row) => [value, row]));
    return frame.fields
      .filter((each) => each !== key)
      .map((each) => {
        const title = nameOf(each, frame);
        return {
          ...each,
          legend: each.legend ?? (each.name === "Value" ? title : undefined),
          name: numbered(each.name),
          values: keys.map((value) => (place.has(value) ? (each.values[place.get(value)!] ?? null) : null)),
        };
      });
  });
  const form = first.key.kind === "time" && first.frame.form === "series" ? "series" : "table";
  return [{ ...first.frame, form, name: "", fields: [{ ...first.key, values: keys }, ...columns] }];
};

/** Names one after the other: those that there are several of are numbered from 1. */
function counted(names: readonly string[]): (name: string) => string {
  const seen = new Map<string, number>();
  const several = new Set(names.filter((name, place) => names.indexOf(name) !== place));
  return (name) => {
    if (!several.has(name)) return name;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    return `${name} ${seen.get(name)}`;
  };
}

const filterFieldsByName: Transform = (frames, options) => {
  const test = (side: unknown) => {
    const of = object(side);
    const names = texts(of.names);
    const by = of.pattern ? pattern(text(of.pattern)) : null;
    return names.length || by ? (name: string) => names.includes(name) || (by?.test(name) ?? false) : null;
  };
  const [kept, left] = [test(options.include), test(options.exclude)];
  return frames
    .map((frame) =>
      only(frame, (each) => {
        const name = nameOf(each, frame);
        const either = (of: (name: string) => boolean) => of(name) || of(each.name);
        return (!kept || either(kept)) && !(left && either(left));
      }),
    )
    .filter(({ fields }) => fields.length > 0);
};

const filterByRefId: Transform = (frames, { include }) => {
  const wanted = pattern(text(include), { whole: true });
  return text(include) && wanted ? frames.filter(({ refId }) => wanted.test(refId)) : frames;
};

const filterByValue: Transform = (frames, options) => {
  const exclude = options.type === "exclude";
  const every = options.match === "all";
  const filters = objects(options.filters);
  return frames.map((frame) => {
    const tests = filters.flatMap((filter) => {
      const of = called(frame, filter.fieldName);
      return of ? [(row: number) => holds(of.values[row] ?? null, object(filter.config))] : [];
    });
    if (tests.length === 0) return frame;
    return rowsOf(
      frame,
      (row) => (every ? tests.every((test) => test(row)) : tests.some((test) => test(row))) !== exclude,
    );
  });
};

function holds(value: Cell, config: Json): boolean {
  const wanted = at(config, "options.value");
  const [a, b] = [Number(value), Number(wanted)];
  switch (config.id) {
    case "isNull":
      return value === null;
    case "isNotNull":
      return value !== null;
    case "greater":
      return value !== null && a > b;
    case "greaterOrEqual":
      return value !== null && a >= b;
    case "lower":
      return value !== null && a < b;
    case "lowerOrEqual":
      return value !== null && a <= b;
    case "equal":
      return typeof value === "number" ? a === b : value === String(wanted);
    case "notEqual":
      return typeof value === "number" ? a !== b : value !== String(wanted);
    case "regex":
      return pattern(text(wanted))?.test(String(value ?? "")) ?? false;
    case "substring":
      return String(value ?? "").includes(text(wanted));
    case "between":
      return (
        value !== null &&
        a >= num(at(config, "options.from"), Number.NEGATIVE_INFINITY) &&
        a <= num(at(config, "options.to"), Number.POSITIVE_INFINITY)
      );
    default:
      return true;
  }
}

function rowsOf(frame: Frame, keep: (row: number) => boolean): Frame {
  return {
    ...frame,
    fields: frame.fields.map((each) => ({ ...each, values: each.values.filter((_, row) => keep(row)) })),
  };
}

/** Rows with the same values in the grouping fields become one, the other fields what their calculations say. */
const groupBy: Transform = (frames, options) => {
  const said = object(options.fields);
  return frames.map((frame) => {
    const operation = (each: Field) => object(said[nameOf(each, frame)] ?? said[each.name]);
    const keys = frame.fields.filter((each) => operation(each).operation === "groupby");
    if (keys.length === 0) return frame;
    const rows = grouped(
      frame.fields[0]?.values.length ?? 0,
      keys.map(({ values }) => values),
    );
    const summed = frame.fields.flatMap((each) => {
      const of = operation(each);
      if (of.operation !== "aggregate") return [];
      return texts(of.aggregations).map((calc) => ({
        ...each,
        legend: undefined,
        name: `${nameOf(each, frame)} (${calc})`,
        values: rows.map((own) =>
          picked(
            own.map((row) => each.values[row] ?? null),
            calc,
          ),
        ),
      }));
    });
    const heads = keys.map((each) => ({ ...each, values: rows.map(([row]) => each.values[row!] ?? null) }));
    return { ...frame, form: "table", fields: [...heads, ...summed] };
  });
};

/** A calculation also over texts, where first, last and count mean something. */
function picked(values: readonly Cell[], calc: string): Cell {
  const known = values.filter((value) => value !== null);
  if (known.some((value) => typeof value !== "number")) {
    if (calc.startsWith("last")) return known.at(-1) ?? null;
    if (calc.startsWith("first")) return known[0] ?? null;
    if (calc === "distinctCount") return new Set(known).size;
    if (calc === "count") return known.length;
  }
  return reduced(values, calc);
}

const calculateField: Transform = (frames, options) => {
  const mode = text(options.mode, "reduceRow");
  const joined =
    mode !== "index" && frames.length > 1 && frames.every(({ form }) => form === "series")
      ? joinByField(frames, {})
      : frames;
  return joined.map((frame) => {
    const made =
      mode === "binary"
        ? binary(frame, object(options.binary))
        : mode === "unary"
          ? unary(frame, object(options.unary))
          : mode === "index"
            ? index(frame, bool(object(options.index).asPercentile))
            : mode === "cumulativeFunctions"
              ? cumulative(frame, object(options.cumulative))
              : mode === "windowFunctions"
                ? moving(frame, object(options.window))
                : rowTotal(frame, object(options.reduce));
    if (!made) return frame;
    const alias = text(options.alias);
    const added = { ...made, ...(alias ? { name: alias } : {}), legend: undefined };
    const times = frame.fields.filter(({ kind }) => kind === "time");
    return { ...frame, fields: bool(options.replaceFields) ? [...times, added] : [...frame.fields, added] };
  });
};

function rowTotal(frame: Frame, options: Json): Field | null {
  const wanted = texts(options.include);
  const calc = text(options.reducer, "sum");
  const of = frame.fields.filter(
    (each) =>
      each.kind === "number" &&
      (wanted.length === 0 || wanted.includes(nameOf(each, frame)) || wanted.includes(each.name)),
  );
  const length = frame.fields[0]?.values.length ?? 0;
  const values = Array.from({ length }, (_, row) =>
    reduced(
      of.map((each) => each.values[row] ?? null),
      calc,
    ),
  );
  return field(calcName(calc), "number", values);
}

/** What there was up to each row: its sum, or its mean over all rows so far; what is missing adds nothing. */
function cumulative(frame: Frame, options: Json): Field | null {
  const name = text(options.field);
  const calc = text(options.reducer, "sum");
  const of = called(frame, name);
  if (!of || (calc !== "sum" && calc !== "mean")) return null;
  let total = 0;
  const values = of.values.map((value, row) => {
    total += maybe(value) ?? 0;
    return calc === "mean" ? total / (row + 1) : total;
  });
  return field(`cumulative ${calc}(${name})`, "number", values);
}

/** A mean (or what else is wanted) over the rows before each, or around it. */
function moving(frame: Frame, options: Json): Field | null {
  const name = text(options.field);
  const calc = text(options.reducer, "mean");
  const centred = options.windowAlignment === "centered";
  const of = called(frame, name);
  if (!of) return null;
  const share = num(options.windowSize, 0.1);
  const size = Math.max(1, options.windowSizeMode === "fixed" ? share : Math.ceil(share * of.values.length));
  const before = centred ? Math.floor(size / 2) : size - 1;
  const after = centred ? size - 1 - before : 0;
  return field(
    `${centred ? "centered" : "trailing"} moving ${calc}(${name})`,
    "number",
    of.values.map((_, row) => reduced(of.values.slice(Math.max(0, row - before), row + after + 1), calc)),
  );
}

function index(frame: Frame, asShare: boolean): Field {
  const length = frame.fields[0]?.values.length ?? 0;
  return field(
    "Row",
    "number",
    Array.from({ length }, (_, row) => (asShare ? row / length : row)),
  );
}

const OPERATIONS: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "%": (a, b) => a % b,
  "**": (a, b) => a ** b,
};

function binary(frame: Frame, options: Json): Field | null {
  const operator = text(options.operator, "+");
  const operation = own(OPERATIONS, operator);
  if (!operation) return null;
  const side = (of: unknown): { name: string; value: (row: number) => number | null } => {
    const fixed = maybe(object(of).fixed ?? (typeof of === "object" ? undefined : of));
    const name = text(object(object(of).matcher).options) || text(of);
    const found = called(frame, name);
    if (found) return { name, value: (row) => maybe(found.values[row]) ?? null };
    return { name: String(fixed ?? name), value: () => fixed ?? null };
  };
  const [left, right] = [side(options.left), side(options.right)];
  const values = Array.from({ length: frame.fields[0]?.values.length ?? 0 }, (_, row) => {
    const [a, b] = [left.value(row), right.value(row)];
    return a === null || b === null ? null : operation(a, b);
  });
  return field(`${left.name} ${operator} ${right.name}`, "number", values);
}

const UNARY: Readonly<Record<string, (value: number) => number>> = {
  abs: Math.abs,
  exp: Math.exp,
  ln: Math.log,
  floor: Math.floor,
  ceil: Math.ceil,
  round: Math.round,
};

function unary(frame: Frame, options: Json): Field | null {
  const operation = own(UNARY, text(options.operator));
  const name = text(options.fieldName);
  const of = called(frame, name);
  if (!operation || !of) return null;
  return field(
    `${text(options.operator)}(${name})`,
    "number",
    of.values.map((value) => (typeof value === "number" ? operation(value) : null)),
  );
}

const sortBy: Transform = (frames, options) => {
  const { field: name, desc } = objects(options.sort)[0] ?? object(options);
  return frames.map((frame) => {
    const by = called(frame, name);
    if (!by) return frame;
    const order = by.values
      .map((_, row) => row)
      .toSorted((a, b) => (desc ? -1 : 1) * compared(by.values[a] ?? null, by.values[b] ?? null));
    return {
      ...frame,
      fields: frame.fields.map((each) => ({ ...each, values: order.map((row) => each.values[row] ?? null) })),
    };
  });
};

function compared(a: Cell, b: Cell): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), undefined, { numeric: true });
}

/** Each series a row: its name, and a column for each calculation. */
const reduce: Transform = (frames, options) => {
  const calcs = texts(options.reducers).length ? texts(options.reducers) : ["max"];
  if (options.mode === "reduceFields") {
    return frames.map((frame) => ({
      ...frame,
      fields: frame.fields
        .filter(({ kind }) => kind === "number" || (kind === "time" && bool(options.includeTimeField)))
        .map((each) => ({ ...each, values: [reduced(each.values, calcs[0])] })),
    }));
  }
  const of = numbers(frames);
  const labels = bool(options.labelsToFields)
    ? [...new Set(of.flatMap(({ field: each }) => Object.keys(each.labels)))]
    : [];
  const columns = [
    field(
      "Field",
      "text",
      of.map(({ title, field: each }) => (bool(options.labelsToFields) ? each.name : title)),
    ),
    ...labels.map((name) =>
      field(
        name,
        "text",
        of.map(({ field: each }) => each.labels[name] ?? ""),
      ),
    ),
    ...calcs.map((calc) => ({
      ...field(
        calcName(calc),
        "number",
        of.map(({ field: each }) => reduced(each.values, calc)),
      ),
      config: of[0]?.field.config ?? NO_FIELD,
    })),
  ];
  return [{ refId: frames[0]?.refId ?? "A", name: "", form: "table", fields: columns }];
};

/** Labels as columns (or, with `mode: rows`, as rows of name and value); `valueLabel` names the column of values. */
const labelsToFields: Transform = (frames, options) => {
  const keep = texts(options.keepLabels);
  const named = text(options.valueLabel);
  const wanted = (label: string) => (keep.length === 0 || keep.includes(label)) && label !== named;
  if (options.mode === "rows") {
    return numbers(frames).map(({ field: each, frame }) => ({
      ...frame,
      form: "table",
      fields: [field("label", "text", Object.keys(each.labels)), field("value", "text", Object.values(each.labels))],
    }));
  }
  return frames.map((frame) => {
    const labels = new Map(frame.fields.flatMap((each) => Object.entries(each.labels)));
    const length = frame.fields[0]?.values.length ?? 0;
    const bare = frame.fields.map((each) =>
      Object.keys(each.labels).length > 0
        ? { ...each, labels: {}, legend: undefined, name: (named && each.labels[named]) || each.name }
        : each,
    );
    const columns = [...labels].filter(([label]) => wanted(label));
    return {
      ...frame,
      form: labels.size > 0 ? "table" : frame.form,
      fields: [...bare, ...columns.map(([label, value]) => field(label, "text", Array<Cell>(length).fill(value)))],
    };
  });
};

/** Rows of time and labels as a series for each set of labels (`multi`), or all in one frame (`many`, `wide`). */
const prepareTimeSeries: Transform = (frames, options) => {
  const wide = options.format !== "multi" && options.format !== "many";
  const series = frames.flatMap((frame) => (frame.form === "table" ? apart(frame) : [frame]));
  if (!wide) return series;
  const { times, columns, of } = together(series);
  const fields = of.map(({ field: each, title }, place) => ({ ...each, legend: title, values: columns[place]! }));
  return times.length
    ? [{ refId: frames[0]?.refId ?? "A", name: "", form: "series", fields: [field("Time", "time", times), ...fields] }]
    : series;
};

/** A row for each series: its labels, and its course as a small line. */
const timeSeriesTable: Transform = (frames, options) => {
  const refs = [...new Set(frames.map(({ refId }) => refId))];
  return refs.map((refId) => {
    const of = numbers(frames.filter((frame) => frame.refId === refId));
    const labels = [...new Set(of.flatMap(({ field: each }) => Object.keys(each.labels)))];
    const calc = text(object(options[refId]).stat) || "lastNotNull";
    const trend: Field = {
      ...field(
        `Trend #${refId}`,
        "other",
        of.map(({ field: each }) => each.values as (number | null)[]),
      ),
      config: of[0]?.field.config ?? NO_FIELD,
      labels: { calc },
      trend: true,
    };
    return {
      refId,
      name: refId,
      form: "table",
      fields: [
        ...labels.map((name) =>
          field(
            name,
            "text",
            of.map(({ field: each }) => each.labels[name] ?? ""),
          ),
        ),
        trend,
      ],
    };
  });
};

/** All series below each other: time, name of the series, value. */
const seriesToRows: Transform = (frames) => {
  const rows = numbers(frames).flatMap(({ field: each, title, times }) =>
    times.flatMap((time, row) =>
      each.values[row] === null ? [] : [{ time, title, value: each.values[row] as number }],
    ),
  );
  rows.sort((a, b) => b.time - a.time);
  return [
    {
      refId: frames[0]?.refId ?? "A",
      name: "",
      form: "table",
      fields: [
        field(
          "Time",
          "time",
          rows.map(({ time }) => time),
        ),
        field(
          "Metric",
          "text",
          rows.map(({ title }) => title),
        ),
        field(
          "Value",
          "number",
          rows.map(({ value }) => value),
        ),
      ],
    },
  ];
};

const convertFieldType: Transform = (frames, { conversions }) =>
  objects(conversions).reduce<Frames>(
    (now, { targetField, destinationType }) =>
      now.map((frame) => ({
        ...frame,
        fields: frame.fields.map((each) =>
          nameOf(each, frame) === targetField || each.name === targetField
            ? converted(each, text(destinationType))
            : each,
        ),
      })),
    frames,
  );

function converted(each: Field, to: string): Field {
  const values = each.values;
  if (to === "number") return { ...each, kind: "number", values: values.map((value) => maybe(value) ?? null) };
  if (to === "string")
    return { ...each, kind: "text", values: values.map((value) => (value === null ? null : String(value))) };
  if (to !== "time") return each;
  const seconds = (value: Cell) => (typeof value === "number" ? value / 1000 : Date.parse(String(value)) / 1000);
  return { ...each, kind: "time", values: values.map((value) => (value === null ? null : seconds(value))) };
}

const limit: Transform = (frames, { limitField }) =>
  frames.map((frame) => rowsOf(frame, (row) => row < num(limitField, 10)));

const rowsToFields: Transform = (frames) =>
  frames.map((frame) => {
    const name = frame.fields.find(({ kind }) => kind === "text");
    const value = frame.fields.find(({ kind }) => kind === "number");
    if (!name || !value) return frame;
    return {
      ...frame,
      fields: name.values.map((title, row) => ({
        ...value,
        legend: undefined,
        name: String(title),
        values: [value.values[row] ?? null],
      })),
    };
  });

const concatenate: Transform = (frames) => {
  const fields = frames.flatMap((frame) => frame.fields);
  const numbered = counted(fields.map(({ name }) => name));
  const named = fields.map((each) =>
    each.kind === "time" || each.legend ? each : { ...each, name: numbered(each.name) },
  );
  return [{ ...(frames[0] ?? { refId: "A", name: "", form: "table" }), fields: named }];
};

const TRANSFORMS: Readonly<Record<string, Transform>> = {
  organize,
  renameByRegex,
  merge,
  joinByField,
  seriesToColumns: joinByField,
  filterFieldsByName,
  filterByRefId,
  filterByValue,
  groupBy,
  calculateField,
  sortBy,
  reduce,
  labelsToFields,
  prepareTimeSeries,
  timeSeriesTable,
  seriesToRows,
  convertFieldType,
  limit,
  rowsToFields,
  concatenate,
  ...RESHAPING,
};
