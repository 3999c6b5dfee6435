/** The weekly review: which figures there are, whether more of them is better, and how they went over weeks. */

import { formatDuration, roughly } from "./timerange";

/** How long something took, over the incidents of a week; null where there was none. */
export interface Lasting {
  readonly count: number;
  readonly mean: number | null;
  readonly p90: number | null;
}

export interface Figures {
  readonly incidents: number;
  readonly detect: Lasting;
  readonly acknowledge: Lasting;
  readonly restore: Lasting;
  readonly mtbf: number | null;
  readonly missed_deadlines: Readonly<Record<string, number>>;
  readonly automation_rate: number | null;
  readonly runbook_success: number | null;
  readonly self_healed: number | null;
}

export interface NoisyRule {
  readonly alert: string;
  readonly firings: number;
  readonly in_no_incident: number;
  readonly nobody_did_anything: number;
  readonly flapped: number;
}

export interface Week {
  readonly all: Figures;
  readonly by_tier: Readonly<Record<string, Figures>>;
  readonly by_service: Readonly<Record<string, Figures>>;
  readonly noisy_rules: readonly NoisyRule[];
}

export interface Review {
  readonly start: number;
  readonly end: number;
  readonly week: Week;
  readonly week_before: Week;
  readonly definitions: Readonly<Record<string, string>>;
  readonly unknown: Readonly<Record<string, string>>;
}

export const WEEK = 7 * 86_400;

/** One figure: where its definition stands, how it is read and told, and whether less of it is better. */
export interface FigureOf {
  readonly key: string;
  readonly title: string;
  readonly of: (figures: Figures) => number | null;
  readonly told: (value: number) => string;
  readonly better: "less" | "more";
}

const count = (value: number) => String(value);
const lasting = (seconds: number) => formatDuration(roughly(seconds));
const percent = (share: number) => `${Math.round(share * 100)}%`;

export const FIGURES: readonly FigureOf[] = [
  { key: "incidents", title: "incidents", of: ({ incidents }) => incidents, told: count, better: "less" },
  { key: "detect", title: "to detect (MTTD)", of: ({ detect }) => detect.mean, told: lasting, better: "less" },
  {
    key: "acknowledge",
    title: "to acknowledge (MTTA)",
    of: ({ acknowledge }) => acknowledge.mean,
    told: lasting,
    better: "less",
  },
  { key: "restore", title: "to restore (MTTR)", of: ({ restore }) => restore.mean, told: lasting, better: "less" },
  { key: "mtbf", title: "between incidents (MTBF)", of: ({ mtbf }) => mtbf, told: lasting, better: "more" },
  { key: "missed_deadlines", title: "missed deadlines", of: missed, told: count, better: "less" },
  {
    key: "automation_rate",
    title: "had a runbook act",
    of: ({ automation_rate }) => automation_rate,
    told: percent,
    better: "more",
  },
  {
    key: "runbook_success",
    title: "runbooks that succeeded",
    of: ({ runbook_success }) => runbook_success,
    told: percent,
    better: "more",
  },
  {
    key: "self_healed",
    title: "healed by themselves",
    of: ({ self_healed }) => self_healed,
    told: percent,
    better: "more",
  },
];

/** How many deadlines passed; none is known of a week without incidents. */
export function missed({ incidents, missed_deadlines }: Figures): number | null {
  return incidents === 0 ? null : Object.values(missed_deadlines).reduce((sum, each) => sum + each, 0);
}

/** A figure as it is told, or a dash. */
export function toldOf({ of, told }: FigureOf, figures: Figures): string {
  const value = of(figures);
  return value === null ? "–" : told(value);
}

/** Whether a figure is better than the week before; nothing where one of them is not known, or both are alike as they are told. */
export function verdict(figure: FigureOf, now: Figures, before: Figures): "good" | "bad" | "" {
  const [a, b] = [figure.of(now), figure.of(before)];
  if (a === null || b === null || figure.told(a) === figure.told(b)) return "";
  return a < b === (figure.better === "less") ? "good" : "bad";
}

/** The ends of the reviews that together tell of the last `weeks` weeks, two of them each, the earliest first. */
export function endsOf(end: number, weeks: number): readonly number[] {
  return Array.from({ length: Math.ceil(weeks / 2) }, (_, at) => end - 2 * at * WEEK).toReversed();
}

/** A figure in every week of those reviews. */
export function course({ of }: FigureOf, reviews: readonly Review[]): readonly (number | null)[] {
  return reviews.flatMap(({ week_before, week }) => [of(week_before.all), of(week.all)]);
}
