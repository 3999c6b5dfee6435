/**
 * Which component draws a panel of which type. A view is loaded when a dashboard has it; a type that is not here is named
 * on the page as missing. `alone`: it needs no frames (it asks for itself, or shows only its options).
 */

import { type LazyExoticComponent, lazy } from "react";
import type { PanelProps, PanelView } from "./interface";

interface View {
  readonly view: LazyExoticComponent<PanelView>;
  readonly alone?: boolean;
}

export const of = (load: () => Promise<{ default: PanelView }>, alone = false): View => ({ view: lazy(load), alone });

export const VIEWS: Readonly<Record<string, View>> = {};

export type { PanelProps, PanelView };
