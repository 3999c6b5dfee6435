/** Which page stands at which address. Pages are loaded when they are gone to. */

import { Suspense } from "react";
import { Route, Routes, useLocation } from "react-router";
import { useLive } from "./api/live";
import { Boundary } from "./components/Boundary";
import { type Lazily, lazily } from "./components/lazily";
import { Shell } from "./components/Shell";
import { Loading, Nothing } from "./components/states";
import { signalReady } from "./pages/explore/signals";

const Now = lazily(() => import("./pages/now"));
const Explore = lazily(() => import("./pages/explore"));
const Services = lazily(() => import("./pages/services"));
const Alerts = lazily(() => import("./pages/alerts"));
const Incidents = lazily(() => import("./pages/incidents"));
const Dashboards = lazily(() => import("./pages/dashboards"));
const Settings = lazily(() => import("./pages/settings"));

const PAGES: readonly (readonly [string, Lazily<object>])[] = [
  ["/explore", Explore],
  ["/services", Services],
  ["/alerts", Alerts],
  ["/incidents", Incidents],
  ["/dashboards", Dashboards],
  ["/settings", Settings],
  ["/", Now],
];

/** Loads the page of an address, so that it stands in the first picture. */
export async function ready(pathname: string): Promise<void> {
  const page = PAGES.find(([path]) => pathname.startsWith(path))?.[1];
  await Promise.all([page?.ready(), page === Explore && signalReady(pathname)]);
}

export function App() {
  useLive();
  return (
    <Shell>
      <Boundary of={useLocation().pathname}>
        <Suspense fallback={<Loading rows={8} />}>
          <Routes>
            <Route path="/" element={<Now />} />
            <Route path="/explore/*" element={<Explore />} />
            <Route path="/services/*" element={<Services />} />
            <Route path="/alerts/*" element={<Alerts />} />
            <Route path="/incidents/*" element={<Incidents />} />
            <Route path="/dashboards/*" element={<Dashboards />} />
            <Route path="/settings/*" element={<Settings />} />
            <Route
              path="*"
              element={
                <Nothing title="No such page">What you look for may be under one of the names on the left.</Nothing>
              }
            />
          </Routes>
        </Suspense>
      </Boundary>
    </Shell>
  );
}
