/** What queries answer, as frames of fields; what a field is called, and which values of it a number stands for. */

import type { Frame as Answer, Labels, Sample } from "@/api/prometheus";
import { configured, NO_FIELD } from "./fieldconfig";
import { legendOf } from "./interpolate";
import type { Cell, Field, FieldConfig, Frame, Override, Target } from "./types";

export function field(name: string, kind: Field["kind"], values: readonly Cell[], labels: Labels = {}): Field {
  return { name, kind, values, labels, config: NO_FIELD };
}

/** A range query: a frame for each series; one frame of rows where a table is wanted. */
export function ofRange({ times, series }: Answer, target: Target, legend: string, query = ""): Frame[] {
  if (target.form === "table") {
    const rows = series.flatMap(({ labels, values }) =>
      values.flatMap((value, at) => (value === null ? [] : [{ labels, time: times[at]!, value }])),
    );
    return [tableOf(rows, target.refId)];
  }
  const title = titles(
    series.map(({ labels }) => labels),
    legend,
    query,
  );
  return series.map(({ labels, values }) => ({
    refId: target.refId,
    name: target.form === "heatmap" && labels.le ? labels.le : title(labels),
    form: target.form,
    fields: [
      field("Time", "time", times),
      { ...field("Value", "number", values, labels), legend: named(legend) ? legendOf(legend, labels) : undefined },
    ],
  }));
}

/** An instant query: a frame for each sample, or one with a row each where a table is wanted. */
export function ofInstant(samples: readonly Sample[], target: Target, legend: string, query = ""): Frame[] {
  if (target.form === "table") return [tableOf(samples, target.refId)];
  const title = titles(
    samples.map(({ labels }) => labels),
    legend,
    query,
  );
  return samples.map(({ labels, time, value }) => ({
    refId: target.refId,
    name: title(labels),
    form: target.form,
    fields: [
      field("Time", "time", [time]),
      { ...field("Value", "number", [value], labels), legend: named(legend) ? legendOf(legend, labels) : undefined },
    ],
  }));
}

function tableOf(rows: readonly Sample[], refId: string): Frame {
  const names = [...new Set(rows.flatMap(({ labels }) => Object.keys(labels)))].toSorted();
  return {
    refId,
    name: refId,
    form: "table",
    fields: [
      field(
        "Time",
        "time",
        rows.map(({ time }) => time),
      ),
      ...names.map((name) =>
        field(
          name,
          "text",
          rows.map(({ labels }) => labels[name] ?? ""),
        ),
      ),
      field(
        `Value #${refId}`,
        "number",
        rows.map(({ value }) => value),
      ),
    ],
  };
}

const AUTO = "__auto";

const named = (legend: string) => legend !== "" && legend !== AUTO;

/** How series are called that one query gives. By themselves (`__auto`) they are the values of the one label they have. */
function titles(all: readonly Labels[], legend: string, query: string): (labels: Labels) => string {
  const [only, ...more] = new Set(all.flatMap((labels) => Object.keys(labels)));
  if (legend === AUTO && only !== undefined && more.length === 0) return (labels) => labels[only] ?? query;
  return (labels) => seriesTitle(labels, named(legend) ? legend : "", query);
}

/** Its legend, else its labels; what has none is called by what was asked. */
function seriesTitle(labels: Labels, legend: string, query: string): string {
  if (legend) return legendOf(legend, labels);
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}="${value}"`);
  return pairs.length > 0 ? `${name}{${pairs.join(", ")}}` : name || query || "Value";
}

/** What a field is called: its configured name, its legend, what tells it apart, its name. */
export function titleOf(of: Field, frame: Frame): string {
  if (of.config.displayName)
    return of.config.displayName
      .replace(/\$\{?__field\.labels\.(\w+)\}?/g, (_, label: string) => of.labels[label] ?? "")
      .replace(/\$\{?__(?:field|series)\.(?:displayName|name)\}?/g, () => of.legend || frame.name || of.name)
      .replace(/\$\{?__cell(?:_\d+)?\}?/g, "");
  if (of.legend) return of.legend;
  if (Object.keys(of.labels).length > 0 && of.name === "Value") return frame.name || of.name;
  if (of.kind === "number" && frame.form === "series" && of.name === "Value" && frame.name) return frame.name;
  return of.name.replace(/^Value #\w+$/, (whole) => (frame.name === frame.refId ? whole : of.name));
}

/** The field that a transformation means by a name: what it is called, or its own name. */
export function called(frame: Frame, name: unknown): Field | undefined {
  return frame.fields.find((each) => titleOf(each, frame) === name || each.name === name);
}

/** The values of a table are `Value #A` where several queries have some; where one has, they are `Value`, as styles name them. */
export function withValueNames(frames: readonly Frame[]): readonly Frame[] {
  const tables = frames.filter(({ form }) => form === "table");
  if (new Set(tables.map(({ refId }) => refId)).size !== 1) return frames;
  const named = (each: Field, { refId }: Frame) =>
    each.name === `Value #${refId}` ? { ...each, name: "Value" } : each;
  return frames.map((frame) => ({ ...frame, fields: frame.fields.map((each) => named(each, frame)) }));
}

/** Frames whose fields have the configuration of the panel and its overrides. */
export function withConfig(frames: readonly Frame[], base: FieldConfig, over: readonly Override[]): readonly Frame[] {
  return frames.map((frame) => ({
    ...frame,
    fields: frame.fields.map((each) => ({
      ...each,
      config: configured(each, titleOf(each, frame), frame.refId, base, over),
    })),
  }));
}

/** A number to be drawn, whichever frame it is of. */
export interface Numbers {
  readonly field: Field;
  readonly frame: Frame;
  readonly title: string;
  readonly times: readonly number[];
}

/** Every field of numbers, with its name and its times. */
export function numbers(frames: readonly Frame[]): readonly Numbers[] {
  return frames.flatMap((frame) => {
    const times = (frame.fields.find(({ kind }) => kind === "time")?.values ?? []) as readonly number[];
    return frame.fields
      .filter(({ kind }) => kind === "number")
      .map((each) => ({ field: each, frame, title: titleOf(each, frame), times }));
  });
}

/** Fields over one row of times: those of all frames, null where a field has none at a time. */
export function together(frames: readonly Frame[]): {
  times: readonly number[];
  columns: readonly (readonly (number | null)[])[];
  of: readonly Numbers[];
} {
  const of = numbers(frames).filter(({ times }) => times.length > 0);
  const first = of[0]?.times ?? [];
  if (of.every(({ times }) => times === first || same(times, first)))
    return { times: first, columns: of.map(({ field: each }) => each.values as (number | null)[]), of };
  const times = [...new Set(of.flatMap((each) => each.times))].toSorted((a, b) => a - b);
  const place = new Map(times.map((time, at) => [time, at]));
  const columns = of.map(({ times: own, field: { values } }) => {
    const row: (number | null)[] = Array(times.length).fill(null);
    own.forEach((time, at) => {
      row[place.get(time)!] = values[at] as number | null;
    });
    return row;
  });
  return { times, columns, of };
}

function same(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one[0] === other[0] && one.at(-1) === other.at(-1);
}

/** The rows (of `length`) that have the same values in all columns, in the order in which they first come. */
export function grouped(length: number, columns: readonly (readonly Cell[])[]): readonly (readonly number[])[] {
  const groups = new Map<string, number[]>();
  for (let row = 0; row < length; row++) {
    const key = JSON.stringify(columns.map((values) => values[row] ?? null));
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()];
}

/** Rows of a table as a series for each of the texts they have. */
export function apart(frame: Frame): Frame[] {
  const time = frame.fields.find(({ kind }) => kind === "time");
  if (!time) return [frame];
  const words = frame.fields.filter(({ kind }) => kind === "text");
  const groups = grouped(
    time.values.length,
    words.map(({ values }) => values.map((value) => value ?? "")),
  );
  return groups.map((rows) => {
    const labels = Object.fromEntries(words.map(({ name, values }) => [name, String(values[rows[0]!] ?? "")]));
    const own = (each: Field) => ({ ...each, values: rows.map((row) => each.values[row] ?? null) });
    const values = frame.fields.filter(({ kind }) => kind === "number").map((each) => ({ ...own(each), labels }));
    return { ...frame, form: "series", name: Object.values(labels).join(" "), fields: [own(time), ...values] };
  });
}
