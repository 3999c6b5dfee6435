/** Dashboards: the list of them, and one as Grafana would show it. */

import { Route, Routes } from "react-router";
import { List } from "./List";
import { View } from "./View";

export default function Dashboards() {
  return (
    <Routes>
      <Route index element={<List />} />
      <Route path=":uid" element={<View />} />
    </Routes>
  );
}
