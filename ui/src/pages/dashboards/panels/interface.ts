/** What every panel is given. It draws `frames`, whose fields have their configuration (overrides and units included). */

import type { ComponentType } from "react";
import type { Dot, Mark } from "@/charts/TimeSeries";
import type { Lead, Spot } from "@/model/dashboard/links";
import type { Frame, Panel } from "@/model/dashboard/types";
import type { Span } from "@/model/timerange";

export interface PanelProps {
  readonly panel: Panel;
  readonly frames: readonly Frame[];
  readonly span: Span;
  /** Pixels the panel may fill, without its header. */
  readonly height: number;
  /** Variables in a text replaced by what they stand for; for Markdown, links, searches of logs. */
  readonly filled: (text: string, format?: string) => string;
  /** Where the links of a value's field lead. */
  readonly leads: (spot: Spot) => readonly Lead[];
  /** Exemplars, where a target asks for them. */
  readonly dots: readonly Dot[];
  /** Moments to be marked: deployments, incidents, what annotations ask for. */
  readonly marks: readonly Mark[];
  /** Charts of one name share their cursor. */
  readonly together?: string;
}

export type PanelView = ComponentType<PanelProps>;
