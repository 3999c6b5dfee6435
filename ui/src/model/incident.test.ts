import { expect, test } from "vitest";
import type { Entry, IncidentSummary } from "@/api/incidents";
import {
  holder,
  incidentOf,
  linesLike,
  questionOf,
  toldOf,
  tracesIn,
  unitOf,
  upkeep,
  waitingFor,
  wordsFor,
} from "./incident";

const fresh = { status: "investigating", acknowledged_at: null, responded_at: null } as const;

test.each([
  [fresh, ["acknowledge", "respond", "identify", "resolve"]],
  [{ ...fresh, acknowledged_at: 5 }, ["respond", "identify", "resolve", "unacknowledge"]],
  [{ ...fresh, acknowledged_at: 5, responded_at: 6 }, ["identify", "resolve", "unacknowledge"]],
  [{ ...fresh, status: "monitoring" } as const, ["resolve", "reopen"]],
  [{ ...fresh, status: "resolved", acknowledged_at: 5 } as const, ["reopen"]],
])("of %j can be said %j", (incident, words) => expect(wordsFor(incident)).toEqual(words));

test.each([
  [{ acknowledged_by: null }, ""],
  [{ acknowledged_by: "ann" }, "ann"],
  [{ acknowledged_by: "ann", assignee: "bob" }, "bob"],
  [{ acknowledged_by: "ann", assignee: "" }, "ann"],
])("%j is taken care of by %j", (incident, who) => expect(holder(incident)).toBe(who));

test("an alert leads to its incident", () => {
  const labels = { alertname: "Slow", service: "api" };
  const of = incidentOf([{ id: "INC_1", alerts: [{ labels }] } as unknown as IncidentSummary]);
  expect(of({ service: "api", alertname: "Slow" })?.id).toBe("INC_1");
  expect(of({ service: "web", alertname: "Slow" })).toBeUndefined();
});

test("a run that waits says what it would do, as it was asked last, and until when", () => {
  const asked = (id: number, run: string, within: number | null): Entry => ({
    id,
    at: 100 + id,
    event: "runbook_waiting",
    actor: "runbook:x",
    text: `asked ${id}`,
    data: { run, within },
  });
  const timeline = [asked(1, "R1", null), asked(2, "R2", null), asked(3, "R1", 60)];
  expect(waitingFor(timeline, "R1")).toEqual({ text: "asked 3", until: 163 });
  expect(waitingFor(timeline, "R2")).toEqual({ text: "asked 2", until: null });
  expect(waitingFor(timeline, "R3")).toBeNull();
});

test.each([
  ["model <*> did not answer within <*> ms", 'message:"did not answer within"'],
  ["connection refused", 'message:"connection refused"'],
  ["user=<*> lost its place in doc-<*> of the queue", 'message:"lost its place in"'],
  ["<*>", ""],
])("lines like %j are those with %j", (pattern, query) => {
  const found = linesLike({ service: "api", level: "ERROR", pattern });
  expect(found).toBe(`service:api level:ERROR ${query}`.trim());
});

test("the id of a trace in a sentence is found", () => {
  const id = "10fe52d4db68f275069e87dc22dd113c";
  expect(tracesIn(`look at trace ${id} (slow)`)).toEqual([
    { words: "look at trace ", trace: null },
    { words: id, trace: id },
    { words: " (slow)", trace: null },
  ]);
  expect(tracesIn("take back the deployment")).toEqual([{ words: "take back the deployment", trace: null }]);
});

test("who owns it and how it is repaired is said once, and only addresses are led to", () => {
  const annotations = { service_owner: "ann", runbook_url: "https://wiki/model" };
  const alerts = [{ annotations }, { annotations }, { annotations: { runbook_url: "javascript:alert(1)" } }];
  expect(upkeep(alerts)).toEqual({ owners: ["ann"], teams: [], runbooks: ["https://wiki/model"] });
});

test.each([
  ["acknowledged", "acknowledged by ann", "ann", { kind: "", by: "" }],
  ["assigned", "assigned to ben", "ann", { kind: "", by: "ann" }],
  ["acknowledged", "looking at it", "ann", { kind: "acknowledged", by: "ann" }],
  ["comment", "looking at it", "ann", { kind: "comment", by: "ann" }],
  ["task_done", "T1 ask the provider: done", "ann", { kind: "task done", by: "ann" }],
  ["change", "deployment of api", "spans", { kind: "change", by: "spans" }],
  ["runbook_waiting", "runbook x waits for approval", "runbook:x", { kind: "", by: "" }],
  ["incident_created", "Slow fires", "automated_system", { kind: "", by: "" }],
  ["runbook_step", "", "runbook:x", { kind: "runbook step", by: "" }],
])("of %s, %j by %s nothing is said twice", (event, text, actor, told) =>
  expect(toldOf({ event, text, actor })).toEqual({ text, ...told }),
);

const changed = { service: "api", metric: "latency_seconds", labels: { code: "200" }, before: 1, after: 2 };

test.each([
  [
    "mean",
    'sum(rate(latency_seconds_sum{job=~"(.+/)?api", code="200"}[1m])) / sum(rate(latency_seconds_count{job=~"(.+/)?api", code="200"}[1m]))',
    "s",
  ],
  ["rate", 'sum(rate(latency_seconds{job=~"(.+/)?api", code="200"}[1m]))', "short"],
  ["level", 'latency_seconds{job=~"(.+/)?api", code="200"}', "s"],
])("a change of the %s is asked for as %s", (measure, question, unit) => {
  expect(questionOf({ ...changed, measure })).toBe(question);
  expect(unitOf({ ...changed, measure })).toBe(unit);
});

test("of series that ended it is asked how many go on", () => {
  const ended = { ...changed, metric: "series", labels: {}, measure: "ended" };
  expect(questionOf({ ...ended, matcher: 'service_name="shop/api"' })).toBe('count({service_name="shop/api"})');
  expect(questionOf(ended)).toBe('count({job=~"(.+/)?api"})');
});

test("series are asked for as the server found them", () =>
  expect(questionOf({ ...changed, measure: "level", matcher: 'service="front"' })).toBe(
    'latency_seconds{service="front", code="200"}',
  ));

test("a name of a service means itself in a question", () =>
  expect(questionOf({ ...changed, service: "a.b", measure: "level" })).toContain('job=~"(.+/)?a\\\\.b"'));
