/** A page of tabs: the one that is open is the path's part behind the page's own, and the first when there is none. */

import { Tabs } from "@mantine/core";
import { type ComponentType, Suspense } from "react";
import { Navigate, Route, Routes, useLocation, useNavigate } from "react-router";
import { Loading } from "./states";
import { useGoto } from "./time";

export interface Tab {
  readonly path: string;
  readonly name: string;
  /** What is open, with whatever follows in the path. */
  readonly part: ComponentType;
}

export function Tabbed({ page, label, tabs }: { page: string; label: string; tabs: readonly [Tab, ...Tab[]] }) {
  const navigate = useNavigate();
  const goto = useGoto();
  const first = tabs[0].path;
  const at = useLocation().pathname.split("/")[2] ?? first;
  return (
    <>
      <Tabs value={at} onChange={(to) => to && navigate(goto(`${page}/${to}`))}>
        <Tabs.List aria-label={label}>
          {tabs.map(({ path, name }) => (
            <Tabs.Tab key={path} value={path}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
      </Tabs>
      <Suspense fallback={<Loading rows={8} />}>
        <Routes>
          <Route index element={<Navigate to={goto(first)} replace />} />
          {tabs.map(({ path, part: Part }) => (
            <Route key={path} path={`${path}/*`} element={<Part />} />
          ))}
        </Routes>
      </Suspense>
    </>
  );
}
