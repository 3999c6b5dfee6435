/** Questions to what is stored: metrics, logs, traces, and in SQL all of it. */

import { Tabs } from "@mantine/core";
import { Suspense } from "react";
import { Navigate, Route, Routes, useLocation, useNavigate } from "react-router";
import { Loading } from "@/components/states";
import { useGoto } from "@/components/time";
import { Logs, Metrics, Sql, Traces } from "./signals";

const SIGNALS = { metrics: "Metrics", logs: "Logs", traces: "Traces", sql: "SQL" } as const;

export default function Explore() {
  const navigate = useNavigate();
  const goto = useGoto();
  const at = useLocation().pathname.split("/")[2] ?? "metrics";
  return (
    <>
      <Tabs value={at} onChange={(to) => to && navigate(goto(`/explore/${to}`))}>
        <Tabs.List aria-label="signals">
          {Object.entries(SIGNALS).map(([signal, name]) => (
            <Tabs.Tab key={signal} value={signal}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
      </Tabs>
      <Suspense fallback={<Loading rows={8} />}>
        <Routes>
          <Route index element={<Navigate to={goto("metrics")} replace />} />
          <Route path="metrics" element={<Metrics />} />
          <Route path="logs" element={<Logs />} />
          <Route path="traces/*" element={<Traces />} />
          <Route path="sql" element={<Sql />} />
        </Routes>
      </Suspense>
    </>
  );
}
