import { expect, test } from "vitest";
import { found } from "./palette";

const GROUPS = [
  {
    group: "Pages",
    actions: [
      { label: "Services", description: "g s" },
      { label: "Incidents", description: "g i" },
    ],
  },
  {
    group: "Incidents",
    actions: [
      { label: "P1 document-processor is slow", description: "INC_1" },
      { label: "P0 slow disk", description: "INC_2" },
    ],
  },
  {
    group: "Services",
    actions: [{ label: "api-gateway", description: "the way in" }, { label: "document-processor" }],
  },
  { group: "Do", actions: [{ label: "Refresh now", description: "r" }] },
];

test.each([
  ["document-proc", ["document-processor", "P1 document-processor is slow"]],
  ["Document-Processor", ["document-processor", "P1 document-processor is slow"]],
  ["p1", ["P1 document-processor is slow"]],
  ["slow", ["P1 document-processor is slow", "P0 slow disk"]],
  ["inc", ["Incidents", "P1 document-processor is slow", "P0 slow disk"]],
  ["processor", ["P1 document-processor is slow", "document-processor"]],
  ["way in", ["api-gateway"]],
  ["slow document", ["P1 document-processor is slow"]],
  ["gateway api", ["api-gateway"]],
  ["nothing of that name", []],
])("%s finds %j", (query, labels) => {
  expect(found(query, GROUPS).flatMap(({ actions }) => actions.map(({ label }) => label))).toEqual(labels);
});

test("without letters all stand in their groups", () => {
  expect(found("  ", GROUPS)).toEqual(GROUPS);
});
