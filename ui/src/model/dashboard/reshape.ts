/** Transformations that give a frame another shape: rows as columns, cells as columns, a frame for each value. */

import { dated } from "@/model/dated";
import { called, field, grouped, numbers, titleOf } from "./frames";
import { bool, num, object, objects, own, text, texts } from "./options";
import type { Cell, Field, Frame, Json } from "./types";

type Reshape = (frames: readonly Frame[], options: Json) => readonly Frame[];

/** One field's values as columns, another's as rows, a third one's where they meet. */
const groupingToMatrix: Reshape = (frames, options) =>
  frames.map((frame) => {
    const [columns, rows, values] = ["columnField", "rowField", "valueField"].map((key) => called(frame, options[key]));
    if (!columns || !rows || !values) return frame;
    const heads = [...new Set(columns.values)];
    const sides = [...new Set(rows.values)];
    const cells = new Map(values.values.map((value, row) => [key(rows.values[row], columns.values[row]), value]));
    const empty: Cell = options.emptyValue === "zero" ? 0 : options.emptyValue === "null" ? null : "";
    return {
      ...frame,
      form: "table",
      fields: [
        { ...field(`${titleOf(rows, frame)}\\${titleOf(columns, frame)}`, rows.kind, sides), config: rows.config },
        ...heads.map((head) => ({
          ...values,
          legend: undefined,
          name: String(head),
          values: sides.map((side) => cells.get(key(side, head)) ?? empty),
        })),
      ],
    };
  });

const key = (...of: readonly (Cell | undefined)[]) => JSON.stringify(of);

/** The first column's values as heads, every other column as a row. */
const transpose: Reshape = (frames, options) =>
  frames.map((frame) => {
    const [first, ...rest] = frame.fields;
    if (!first) return frame;
    const kind = rest.every((each) => each.kind === "number") ? "number" : "text";
    const cell = (value: Cell | undefined): Cell => (kind === "number" ? (value ?? null) : String(value ?? ""));
    const name = text(options.firstFieldName) || "Field";
    return {
      ...frame,
      form: "table",
      fields: [
        field(
          name,
          "text",
          rest.map((each) => titleOf(each, frame)),
        ),
        ...first.values.map((head, row) =>
          field(
            String(head ?? row + 1),
            kind,
            rest.map((each) => cell(each.values[row])),
          ),
        ),
      ],
    };
  });

/** A frame for each set of values that the fields have together. */
const partitionByValues: Reshape = (frames, options) =>
  frames.flatMap((frame) => {
    const by = texts(options.fields).flatMap((name) => called(frame, name) ?? []);
    if (by.length === 0) return [frame];
    const groups = grouped(
      by[0]!.values.length,
      by.map(({ values }) => values),
    );
    const kept = bool(options.keepFields) ? frame.fields : frame.fields.filter((each) => !by.includes(each));
    return groups.map((rows) => ({
      ...frame,
      name: by.map(({ values }) => String(values[rows[0]!] ?? "")).join(" "),
      fields: kept.map((each) => ({ ...each, values: rows.map((row) => each.values[row] ?? null) })),
    }));
  });

/** What stands in the texts of a field (JSON, or pairs `a=b`) as columns of their own. */
const extractFields: Reshape = (frames, options) =>
  frames.map((frame) => {
    const source = called(frame, options.source);
    if (!source) return frame;
    const read = source.values.map((value) => object(options.format === "kvp" ? pairs(String(value)) : json(value)));
    const paths = objects(options.jsonPaths).map(
      ({ path, alias }) => [text(alias) || text(path), text(path).split(".")] as const,
    );
    // A name that was found is whole: `http.status` is no status in an http.
    const names: readonly (readonly [string, readonly string[]])[] = paths.length
      ? paths
      : [...new Set(read.flatMap((each) => Object.keys(each)))].map((name) => [name, [name]] as const);
    const columns = names.map(([name, path]) => {
      const values = read.map((each) => cellOf(path.reduce<unknown>((at, part) => own(object(at), part), each)));
      const kind = values.every((value) => value === null || typeof value === "number") ? "number" : "text";
      return field(name, kind, values);
    });
    const times = bool(options.keepTime) ? frame.fields.filter(({ kind }) => kind === "time") : [];
    return {
      ...frame,
      form: "table",
      fields: bool(options.replace) ? [...times, ...columns] : [...frame.fields, ...columns],
    };
  });

function json(value: Cell): unknown {
  try {
    return JSON.parse(String(value));
  } catch {
    return {};
  }
}

function pairs(value: string): Json {
  return Object.fromEntries(
    // A name begins where a word does: looked for from each of its letters on, a long word takes its length squared.
    [...value.matchAll(/(?<![^\s=:,;])([^\s=:,;]+)\s*[=:]\s*("[^"]*"|[^\s,;]+)/g)].map(([, name, of]) => [
      name!,
      of!.replace(/^"|"$/g, ""),
    ]),
  );
}

function cellOf(value: unknown): Cell {
  if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") return value;
  return value === undefined || value === null ? null : JSON.stringify(value);
}

const WRITTEN: Readonly<Record<string, (value: string) => string>> = {
  "Upper Case": (value) => value.toUpperCase(),
  "Lower Case": (value) => value.toLowerCase(),
  "Sentence Case": (value) => value.charAt(0).toUpperCase() + value.slice(1),
  "Title Case": (value) => words(value).map(capital).join(" "),
  "Pascal Case": (value) => words(value).map(capital).join(""),
  "Camel Case": (value) =>
    words(value)
      .map((word, at) => (at ? capital(word) : word.toLowerCase()))
      .join(""),
  "Snake Case": (value) => words(value).join("_").toLowerCase(),
  "Kebab Case": (value) => words(value).join("-").toLowerCase(),
  Trim: (value) => value.trim(),
};

const words = (value: string) => value.split(/[\s_-]+/).filter(Boolean);
const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase();

const formatString: Reshape = (frames, options) =>
  frames.map((frame) => {
    const of = called(frame, options.stringField);
    const [from, to] = [num(options.substringStart, 0), num(options.substringEnd, 100)];
    const write =
      options.outputFormat === "Substring"
        ? (value: string) => value.slice(from, to)
        : own(WRITTEN, text(options.outputFormat));
    return of && write ? replaced(frame, of, (value) => (value === null ? null : write(String(value)))) : frame;
  });

/** Times as texts, in the letters of Moment: `YYYY-MM-DD HH:mm:ss`. */
const formatTime: Reshape = (frames, options) =>
  frames.map((frame) => {
    const of = called(frame, options.timeField);
    const form = text(options.outputFormat) || "YYYY-MM-DD HH:mm:ss";
    return of
      ? {
          ...replaced(
            frame,
            of,
            (value) => (typeof value === "number" ? dated(new Date(value * 1000), form) : null),
            "text",
          ),
          form: "table",
        }
      : frame;
  });

function replaced(frame: Frame, of: Field, write: (value: Cell) => Cell, kind = of.kind): Frame {
  const after = { ...of, kind, values: of.values.map(write) };
  return { ...frame, fields: frame.fields.map((each) => (each === of ? after : each)) };
}

/** Frames side by side by the labels they share, each under the value of one label. */
const joinByLabels: Reshape = (frames, options) => {
  const value = text(options.value);
  const join = texts(options.join);
  const all = numbers(frames).filter(({ field: each }) => Object.hasOwn(each.labels, value));
  if (all.length === 0) return frames;
  const shared = join.length
    ? join
    : [...new Set(all.flatMap(({ field: each }) => Object.keys(each.labels)))].filter((label) => label !== value);
  const heads = [...new Set(all.map(({ field: each }) => each.labels[value]!))];
  const rows = new Map<string, { labels: readonly string[]; cells: Map<string, Cell> }>();
  for (const { field: each } of all) {
    const labels = shared.map((label) => each.labels[label] ?? "");
    const row = rows.get(key(...labels)) ?? { labels, cells: new Map() };
    rows.set(key(...labels), row);
    row.cells.set(each.labels[value]!, each.values.at(-1) ?? null);
  }
  const every = [...rows.values()];
  return [
    {
      refId: frames[0]!.refId,
      name: "",
      form: "table",
      fields: [
        ...shared.map((label, place) =>
          field(
            label,
            "text",
            every.map(({ labels }) => labels[place]!),
          ),
        ),
        ...heads.map((head) => ({
          ...field(
            head,
            "number",
            every.map(({ cells }) => cells.get(head) ?? null),
          ),
          config: all[0]!.field.config,
        })),
      ],
    },
  ];
};

export const RESHAPING: Readonly<Record<string, Reshape>> = {
  groupingToMatrix,
  transpose,
  partitionByValues,
  extractFields,
  formatString,
  formatTime,
  joinByLabels,
};
