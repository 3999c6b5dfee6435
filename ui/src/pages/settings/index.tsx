/** Settings: what is scraped, stored and told, who is on call, and what this server runs with. */

import { Tabbed } from "@/components/Tabbed";
import { Cardinality } from "./Cardinality";
import { Configuration } from "./Configuration";
import { Integrations } from "./Integrations";
import { OnCall } from "./OnCall";
import { People } from "./People";
import { Status } from "./Status";
import { Storage } from "./Storage";
import { Targets } from "./Targets";

const PARTS = [
  { path: "targets", name: "Targets", part: Targets },
  { path: "storage", name: "Storage", part: Storage },
  { path: "cardinality", name: "Cardinality", part: Cardinality },
  { path: "integrations", name: "Integrations", part: Integrations },
  { path: "on-call", name: "On call", part: OnCall },
  { path: "people", name: "People", part: People },
  { path: "configuration", name: "Configuration", part: Configuration },
  { path: "status", name: "Status", part: Status },
] as const;

export default function Settings() {
  return <Tabbed page="/settings" label="settings" tabs={PARTS} />;
}
