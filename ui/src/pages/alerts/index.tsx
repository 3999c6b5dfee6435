/** Alerts: what fires and what holds it, the rules that say so, silences, and who would be told. */

import { Tabbed } from "@/components/Tabbed";
import { Active } from "./Active";
import { Backtest } from "./Backtest";
import { HeldBack } from "./HeldBack";
import { Routing } from "./Routing";
import { Rules } from "./Rules";
import { Silences } from "./Silences";

const PARTS = [
  { path: "active", name: "Firing and pending", part: Active },
  { path: "held", name: "Held back", part: HeldBack },
  { path: "rules", name: "Rules", part: Rules },
  { path: "silences", name: "Silences", part: Silences },
  { path: "routing", name: "Routing", part: Routing },
  { path: "backtest", name: "Backtest", part: Backtest },
] as const;

export default function Alerts() {
  return <Tabbed page="/alerts" label="of alerts" tabs={PARTS} />;
}
