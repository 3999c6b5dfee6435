/** Incidents: all of them, one with everything about it, its war room, its postmortem, and the week's review. */

import { lazy } from "react";
import { Route, Routes, useParams } from "react-router";
import { List } from "./List";
import { One } from "./One";

const Postmortem = lazy(() => import("./Postmortem"));
const WarRoom = lazy(() => import("./room"));
const Review = lazy(() => import("./Review"));

export default function Incidents() {
  return (
    <Routes>
      <Route index element={<List />} />
      <Route path="review" element={<Review />} />
      <Route path=":id" element={<Named of={One} />} />
      <Route path=":id/room" element={<Named of={WarRoom} />} />
      <Route path=":id/postmortem" element={<Named of={Postmortem} />} />
    </Routes>
  );
}

function Named({ of: Page }: { of: React.ComponentType<{ id: string }> }) {
  const { id = "" } = useParams();
  return <Page key={id} id={id} />;
}
