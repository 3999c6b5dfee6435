/** Alerts: what fires and what holds it, the rules that say so, silences, and who would be told. */

import { Tabs } from "@mantine/core";
import { Navigate, Route, Routes, useLocation, useNavigate } from "react-router";
import { useGoto } from "@/components/time";
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
  const navigate = useNavigate();
  const goto = useGoto();
  const at = useLocation().pathname.split("/")[2] ?? "active";
  return (
    <>
      <Tabs value={at} onChange={(to) => to && navigate(goto(`/alerts/${to}`))}>
        <Tabs.List aria-label="of alerts">
          {PARTS.map(({ path, name }) => (
            <Tabs.Tab key={path} value={path}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
      </Tabs>
      <Routes>
        <Route index element={<Navigate to={goto("active")} replace />} />
        {PARTS.map(({ path, part: Part }) => (
          <Route key={path} path={path} element={<Part />} />
        ))}
      </Routes>
    </>
  );
}
