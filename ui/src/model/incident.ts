/**
 * What of an incident is to be seen at once: who has it, what can be said of it next, and what a runbook that waits for a person
 * would do. Pure.
 */

import type { Entry, Incident, IncidentSummary, LogChange, MetricChange, Word } from "@/api/incidents";
import type { Labels } from "@/api/prometheus";
import { term } from "./lucene";
import { safeAddress } from "./room";

/** What makes sense next, in the order of an incident's life; the state machine refuses the rest. */
const NEXT: Readonly<Record<IncidentSummary["status"], readonly Word[]>> = {
  investigating: ["acknowledge", "respond", "identify", "resolve", "unacknowledge"],
  identified: ["acknowledge", "resolve", "unacknowledge"],
  monitoring: ["resolve", "reopen"],
  resolved: ["reopen"],
};

type Stage = Pick<Incident, "status" | "acknowledged_at" | "responded_at">;

/** What can be said of it, the most fitting first. */
export function wordsFor({ status, acknowledged_at, responded_at }: Stage): readonly Word[] {
  const over: Readonly<Partial<Record<Word, boolean>>> = {
    acknowledge: acknowledged_at !== null,
    unacknowledge: acknowledged_at === null,
    respond: responded_at !== null,
  };
  return NEXT[status].filter((word) => !over[word]);
}

/** Who takes care of it: who it was given to, else who acknowledged it; empty for nobody. */
export function holder({ assignee, acknowledged_by }: Pick<IncidentSummary, "assignee" | "acknowledged_by">): string {
  return assignee || acknowledged_by || "";
}

/** Of an alert's labels its open incident. An alert is known by its labels: fingerprints are Alertmanager's here, ours there. */
export function incidentOf(incidents: readonly IncidentSummary[]): (labels: Labels) => IncidentSummary | undefined {
  const known = new Map(incidents.flatMap((each) => each.alerts.map(({ labels }) => [keyOf(labels), each] as const)));
  return (labels) => known.get(keyOf(labels));
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

/** What a run that waits for a person would do, and until when one may decide; null when it does not wait. */
export function waitingFor(timeline: readonly Entry[], run: string): { text: string; until: number | null } | null {
  const asked = timeline.findLast(({ event, data }) => event === "runbook_waiting" && data?.run === run);
  if (!asked) return null;
  const within = asked.data.within;
  return { text: asked.text, until: typeof within === "number" ? asked.at + within : null };
}

/** The search for the lines of a statement whose values differ: its service, its level, and its longest words in a row. */
export function linesLike({ service, level, pattern }: Pick<LogChange, "service" | "level" | "pattern">): string {
  const parts = pattern.split("<*>");
  const words = parts
    // A word that is glued to a value is another one in every line.
    .map((part, at) =>
      (at > 0 ? part.replace(/^\S+/, "") : part).replace(at < parts.length - 1 ? /\S+$/ : /$/, "").trim(),
    )
    .reduce((longest, part) => (part.length > longest.length ? part : longest), "");
  return [service && term("service", service), level && term("level", level), words && term("message", words)]
    .filter(Boolean)
    .join(" ");
}

/** A sentence in parts: the ids of traces in it, and the words between. */
export function tracesIn(text: string): readonly { words: string; trace: string | null }[] {
  return text
    .split(/\b([0-9a-f]{32})\b/)
    .map((part, at) => (at % 2 ? { words: part, trace: part } : { words: part, trace: null }))
    .filter(({ words }) => words !== "");
}

type Noted = { readonly annotations: Readonly<Record<string, string>> };

/** Who owns what is in trouble, and where is written how it is repaired, as the alerts say. */
export function upkeep(alerts: readonly Noted[]): { owners: string[]; teams: string[]; runbooks: string[] } {
  const said = (name: string) => [...new Set(alerts.map(({ annotations }) => annotations[name] ?? ""))].filter(Boolean);
  return {
    owners: said("service_owner"),
    teams: said("service_team"),
    runbooks: said("runbook_url").filter((address) => safeAddress(address)),
  };
}

/**
 * A line of a timeline without what is said twice. What the machine writes says itself what happened; what a person wrote along with
 * a deed does not, unless it begins with the deed.
 */
export function toldOf({ event, text, actor }: Pick<Entry, "event" | "text" | "actor">): {
  kind: string;
  text: string;
  by: string;
} {
  const machine = actor === "automated_system" || actor.startsWith("runbook:");
  const word = event.replaceAll("_", " ");
  const told = text.startsWith(word) || (machine && text !== "" && event !== "change");
  return { kind: told ? "" : word, text, by: machine || text.endsWith(` ${actor}`) ? "" : actor };
}

/**
 * The question behind a metric that changed: a histogram has no series of its own name, a counter says little unless it is a rate,
 * and of what ended there is only how many series go on.
 */
export function questionOf({ metric, service, labels, measure, matcher }: MetricChange): string {
  const wanted = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const named = matcher || `job=~${JSON.stringify(`(.+/)?${service.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&")}`)}`;
  const of = (name: string) => `${name}{${[named, ...wanted].join(", ")}}`;
  if (measure === "ended") return `count(${of("")})`;
  if (measure === "mean") return `sum(rate(${of(`${metric}_sum`)}[1m])) / sum(rate(${of(`${metric}_count`)}[1m]))`;
  return measure === "rate" ? `sum(rate(${of(metric)}[1m]))` : of(metric);
}

/** What its numbers are of, as its name says. */
export function unitOf({ metric, measure }: Pick<MetricChange, "metric" | "measure">): string {
  const words = metric.replace(/_(total|sum|count|bucket)$/, "").split("_");
  const counted = measure === "rate" || measure === "ended";
  const units: Readonly<Record<string, string>> = {
    seconds: "s",
    milliseconds: "ms",
    bytes: "bytes",
    percent: "percent",
    ratio: "percentunit",
  };
  return counted ? "short" : (words.map((word) => units[word]).findLast(Boolean) ?? "short");
}
