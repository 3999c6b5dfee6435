import { expect, test } from "vitest";
import { begun, changed, type Draft, discarded, isChanged, redone, undone } from "./draft";

const [a, b, c] = [{ title: "a" }, { title: "b" }, { title: "c" }];
const typed = (...steps: readonly (readonly [object, string])[]) =>
  steps.reduce<Draft>((draft, [json, what]) => changed(draft, json as Draft["json"], what), begun(a));

test.each<[string, Draft, object, boolean]>([
  ["nothing is changed at first", begun(a), a, false],
  ["the same again is no step", changed(begun(a), a), a, false],
  ["undoing leads back", undone(typed([b, "title"])), a, false],
  ["letters of one field are one step", undone(typed([b, "title"], [c, "title"])), a, false],
  ["another field is another step", undone(typed([b, "title"], [c, "unit"])), b, true],
  ["what has no name is a step of its own", undone(typed([b, ""], [c, ""])), b, true],
  ["what was undone is done again", redone(undone(typed([b, ""], [c, ""]))), c, true],
  ["a change forgets what was undone", redone(changed(undone(typed([b, ""])), c)), c, true],
  ["there is nothing before the beginning", undone(begun(a)), a, false],
  ["typing goes on as another step after an undo", undone(changed(undone(typed([b, ""], [c, "t"])), c, "t")), b, true],
  ["what is discarded is as it was", discarded(typed([b, ""], [c, ""])), a, false],
  ["and can be had back", undone(discarded(typed([b, ""], [c, ""]))), c, true],
  ["the same by other steps is no change", typed([{ title: "a" }, ""]), a, false],
])("%s", (_, draft, json, dirty) => {
  expect(draft.json).toEqual(json);
  expect(isChanged(draft)).toBe(dirty);
});
