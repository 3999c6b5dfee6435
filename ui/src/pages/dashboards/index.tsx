/** Dashboards: the list of them, and one as Grafana would show it. */

import { Route, Routes } from "react-router";
import { List } from "./List";
import { Fresh, View } from "./View";

export default function Dashboards() {
  return (
    <Routes>
      <Route index element={<List />} />
      <Route path="~new" element={<Fresh />} /> {/* no uid is called so */}
      <Route path=":uid" element={<View />} />
    </Routes>
  );
}
