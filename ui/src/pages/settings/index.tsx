/** Settings: what is scraped, stored and told, who is on call, and what this server runs with. */

import { Tabs } from "@mantine/core";
import { Navigate, Route, Routes, useLocation, useNavigate } from "react-router";
import { useGoto } from "@/components/time";
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
  const navigate = useNavigate();
  const goto = useGoto();
  const at = useLocation().pathname.split("/")[2] ?? PARTS[0].path;
  return (
    <>
      <Tabs value={at} onChange={(to) => to && navigate(goto(`/settings/${to}`))}>
        <Tabs.List aria-label="settings">
          {PARTS.map(({ path, name }) => (
            <Tabs.Tab key={path} value={path}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
      </Tabs>
      <Routes>
        <Route index element={<Navigate to={goto(PARTS[0].path)} replace />} />
        {PARTS.map(({ path, part: Part }) => (
          <Route key={path} path={path} element={<Part />} />
        ))}
      </Routes>
    </>
  );
}
