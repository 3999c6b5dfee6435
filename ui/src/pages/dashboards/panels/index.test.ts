import { expect, test } from "vitest";
import { VIEWS } from ".";

test.each(["constructor", "valueOf", "__proto__", "canvas"])("a panel of type %s has no view", (type) => {
  expect(VIEWS[type]).toBeUndefined();
  expect(VIEWS.table).toBeDefined();
});
