/** Services: all of them, one with everything about it, and the map of who calls whom. */

import { lazy } from "react";
import { Route, Routes, useParams } from "react-router";
import { List } from "./List";
import { Service } from "./Service";

const ServiceMap = lazy(() => import("./Map"));

export default function Services() {
  return (
    <Routes>
      <Route index element={<List />} />
      <Route path="map" element={<ServiceMap />} />
      <Route path="*" element={<Named />} />
    </Routes>
  );
}

/** A name may hold slashes, and they are of the name. */
function Named() {
  const name = useParams()["*"] ?? "";
  return <Service key={name} name={name} />;
}
