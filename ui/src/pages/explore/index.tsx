/** Questions to what is stored: metrics, logs, traces, and in SQL all of it. */

import { Tabbed } from "@/components/Tabbed";
import { Logs, Metrics, Sql, Traces } from "./signals";

const SIGNALS = [
  { path: "metrics", name: "Metrics", part: Metrics },
  { path: "logs", name: "Logs", part: Logs },
  { path: "traces", name: "Traces", part: Traces },
  { path: "sql", name: "SQL", part: Sql },
] as const;

export default function Explore() {
  return <Tabbed page="/explore" label="signals" tabs={SIGNALS} />;
}
