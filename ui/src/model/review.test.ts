import { expect, test } from "vitest";
import { course, endsOf, FIGURES, type Figures, missed, type Review, toldOf, verdict, WEEK, type Week } from "./review";

const lasting = (mean: number | null) => ({ count: mean === null ? 0 : 1, mean, p90: mean });
const figures = (rest: Partial<Figures> = {}): Figures => ({
  incidents: 2,
  detect: lasting(90),
  acknowledge: lasting(null),
  restore: lasting(3600),
  mtbf: 86_400,
  missed_deadlines: { acknowledge: 1, respond: 0, resolve: 2 },
  automation_rate: 0.5,
  runbook_success: null,
  self_healed: 0.254,
  ...rest,
});
const named = (key: string) => FIGURES.find((figure) => figure.key === key)!;

test.each([
  ["incidents", "2"],
  ["detect", "1m30s"],
  ["acknowledge", "–"],
  ["restore", "1h"],
  ["mtbf", "1d"],
  ["missed_deadlines", "3"],
  ["automation_rate", "50%"],
  ["runbook_success", "–"],
  ["self_healed", "25%"],
])("%s is told as %s", (key, expected) => {
  expect(toldOf(named(key), figures())).toBe(expected);
});

test("of a week without incidents no missed deadline is known", () => {
  expect(missed(figures({ incidents: 0 }))).toBeNull();
});

test.each([
  ["restore", { restore: lasting(60) }, { restore: lasting(120) }, "good"],
  ["restore", { restore: lasting(120) }, { restore: lasting(60) }, "bad"],
  ["automation_rate", { automation_rate: 0.9 }, { automation_rate: 0.5 }, "good"],
  ["automation_rate", { automation_rate: 0.501 }, { automation_rate: 0.5 }, ""],
  ["acknowledge", { acknowledge: lasting(60) }, { acknowledge: lasting(null) }, ""],
] as const)("%s of %o beside %o is %s", (key, now, before, expected) => {
  expect(verdict(named(key), figures(now), figures(before))).toBe(expected);
});

test("two weeks stand in each review, and the course goes through all of them", () => {
  expect(endsOf(10 * WEEK, 6)).toEqual([6 * WEEK, 8 * WEEK, 10 * WEEK]);
  const week = (incidents: number): Week => ({
    all: figures({ incidents }),
    by_tier: {},
    by_service: {},
    noisy_rules: [],
  });
  const review = (one: number, other: number): Review => ({
    start: 0,
    end: 0,
    week_before: week(one),
    week: week(other),
    definitions: {},
    unknown: {},
  });
  expect(course(named("incidents"), [review(1, 2), review(3, 4)])).toEqual([1, 2, 3, 4]);
});
