/** Traces: searched, told as one, compared. */

import { Route, Routes } from "react-router";
import { Compare } from "./Compare";
import { Search } from "./Search";
import { Trace } from "./Trace";

export default function Traces() {
  return (
    <Routes>
      <Route index element={<Search />} />
      <Route path="compare" element={<Compare />} />
      <Route path=":id" element={<Trace />} />
    </Routes>
  );
}
