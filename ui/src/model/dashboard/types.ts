/**
 * A dashboard as the pages know it: whichever of Grafana's forms (schema 3 to 42) or the plan's YAML it was written in, it
 * is read into this one. Options of a panel stay as Grafana names them; `options.ts` reads them.
 */

import type { Labels } from "@/api/prometheus";
import type { Range } from "@/model/timerange";

export type Json = Readonly<Record<string, unknown>>;

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly timezone: string;
  readonly refresh: string;
  readonly range: Range | null;
  readonly panels: readonly Panel[];
  readonly variables: readonly Variable[];
  readonly annotations: readonly Annotation[];
  readonly links: readonly DashLink[];
  /** Whether the charts share their cursor. */
  readonly together: boolean;
}

export interface DashLink {
  readonly title: string;
  readonly url: string;
  readonly tags: readonly string[];
  readonly kind: "link" | "dashboards";
  readonly keepTime: boolean;
  readonly keepVariables: boolean;
  readonly tooltip: string;
  readonly blank: boolean;
  /** Of several dashboards: shown as a menu. */
  readonly folded: boolean;
}

/** Where a panel stands: 24 columns, rows of 30 pixels. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface Panel {
  readonly id: number;
  /** Of Grafana's present types; older ones are rewritten when read (`graph` is a `timeseries`, `singlestat` a `stat`). */
  readonly type: string;
  readonly title: string;
  readonly description: string;
  readonly place: Place;
  readonly targets: readonly Target[];
  readonly options: Json;
  readonly field: FieldConfig;
  readonly overrides: readonly Override[];
  readonly transformations: readonly Transformation[];
  readonly repeat: { readonly variable: string; readonly down: boolean; readonly most: number } | null;
  readonly timeFrom: string;
  /** Its own time is not told. */
  readonly quietTime: boolean;
  readonly timeShift: string;
  readonly interval: string;
  readonly maxPoints: number | null;
  readonly links: readonly DashLink[];
  readonly bare: boolean; // no frame
  /** A row: whether it is shut, and what stands in it while it is. */
  readonly shut: boolean;
  readonly inside: readonly Panel[];
  /** What a repeated panel stands for: values of variables, over those of the page. */
  readonly scoped: Readonly<Record<string, Chosen>>;
  /** What it asks for that is not drawn here, in words. */
  readonly missing: readonly string[];
}

export type SourceKind = "prometheus" | "logs" | "traces" | "dashboard" | "expression" | "mixed" | "other";

export interface Target {
  readonly refId: string;
  readonly kind: SourceKind;
  readonly expr: string;
  readonly legend: string;
  readonly form: "series" | "table" | "heatmap";
  readonly instant: boolean;
  readonly range: boolean;
  readonly hidden: boolean;
  readonly interval: string;
  /** Its exemplars are shown as dots. */
  readonly exemplars: boolean;
  readonly raw: Json;
}

export interface Transformation {
  readonly id: string;
  readonly options: Json;
  readonly disabled: boolean;
}

export interface Mapping {
  readonly type: "value" | "range" | "regex" | "special";
  readonly match: string;
  readonly from: number | null;
  readonly to: number | null;
  readonly text: string | null;
  readonly colour: string | null;
  /** What else is written of its result (`icon`), which nobody here draws. */
  readonly more?: Json;
}

export interface Threshold {
  readonly value: number; // the first is -Infinity
  readonly colour: string;
}

export interface FieldConfig {
  readonly displayName?: string;
  readonly unit?: string;
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
  readonly noValue?: string;
  readonly mappings: readonly Mapping[];
  readonly thresholds: { readonly percent: boolean; readonly steps: readonly Threshold[] };
  readonly colour: { readonly mode: string; readonly fixed: string };
  readonly links: readonly DashLink[];
  /** What only some panels know: `lineWidth`, `fillOpacity`, `width`, `hideFrom` … */
  readonly custom: Json;
}

export interface Override {
  readonly matcher: { readonly id: string; readonly options: unknown };
  readonly properties: readonly { readonly id: string; readonly value: unknown }[];
}

/** A column of a frame: all the values of one series, or of one label. */
export interface Field {
  readonly name: string;
  readonly kind: "time" | "number" | "text" | "other"; // times in Unix seconds
  readonly values: readonly Cell[];
  readonly labels: Labels;
  readonly config: FieldConfig;
  /** What a target's legend calls it; over its name and labels, under the configuration's display name. */
  readonly legend?: string;
  /** A line of its own in a cell of a table (`timeSeriesTable`). */
  readonly trend?: boolean;
}

export type Cell = number | string | boolean | null | readonly (number | null)[];

/** What one target gives, or a transformation makes: columns of equal length. */
export interface Frame {
  readonly refId: string;
  readonly name: string;
  readonly fields: readonly Field[];
  readonly form: "series" | "table" | "heatmap";
}

export interface Chosen {
  readonly values: readonly string[];
  readonly texts: readonly string[];
  readonly all: boolean;
}

export interface Option {
  readonly text: string;
  readonly value: string;
}

export type VariableType = "query" | "custom" | "interval" | "constant" | "textbox" | "datasource" | "adhoc" | "switch";

export interface Variable {
  readonly name: string;
  readonly label: string;
  readonly type: VariableType;
  readonly query: string;
  readonly kind: SourceKind;
  readonly regex: string;
  readonly sort: number;
  readonly multi: boolean;
  readonly includeAll: boolean;
  readonly allValue: string;
  readonly hide: "" | "label" | "variable";
  readonly current: Chosen | null;
  readonly options: readonly Option[];
  readonly auto: { readonly count: number; readonly least: string } | null; // an interval chosen by the length of time
  readonly missing: string;
}

export interface Annotation {
  readonly name: string;
  readonly colour: string;
  readonly kind: "prometheus" | "logs" | "events" | "incidents" | "other";
  readonly expr: string;
  readonly title: string;
  readonly text: string;
  readonly step: string;
  readonly enabled: boolean;
  readonly hidden: boolean;
  /** Only events of this kind (`deployment`), or all. */
  readonly of: string;
  /** A value is the moment itself, in milliseconds. */
  readonly valueIsTime: boolean;
  /** The panels it is shown in, or with `exclude` not; null: all. */
  readonly panels: { readonly ids: readonly number[]; readonly exclude: boolean } | null;
}
