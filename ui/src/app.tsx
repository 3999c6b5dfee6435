/** Which page stands at which address. Pages are loaded when they are gone to. */

import { lazy, Suspense } from "react";
import { Route, Routes } from "react-router";
import { useLive } from "./api/live";
import { Shell } from "./components/Shell";
import { Loading, Nothing } from "./components/states";

const Now = lazy(() => import("./pages/now"));
const Explore = lazy(() => import("./pages/explore"));
const Services = lazy(() => import("./pages/services"));
const Alerts = lazy(() => import("./pages/alerts"));
const Incidents = lazy(() => import("./pages/incidents"));
const Dashboards = lazy(() => import("./pages/dashboards"));

export function App() {
  useLive();
  return (
    <Shell>
      <Suspense fallback={<Loading rows={8} />}>
        <Routes>
          <Route path="/" element={<Now />} />
          <Route path="/explore/*" element={<Explore />} />
          <Route path="/services/*" element={<Services />} />
          <Route path="/alerts/*" element={<Alerts />} />
          <Route path="/incidents/*" element={<Incidents />} />
          <Route path="/dashboards/*" element={<Dashboards />} />
          <Route
            path="*"
            element={
              <Nothing title="No such page">What you look for may be under one of the names on the left.</Nothing>
            }
          />
        </Routes>
      </Suspense>
    </Shell>
  );
}
