// The page at /: status, services, alerts, incidents and a PromQL box, all read from the server's public API.
// Each part asks for its own data and draws it; when the server is away the page says so and keeps the last picture.

import { ask, clock, duration, el, fill, moment, number, percent, since, table, tag } from "./dom.js";
import { plot } from "./plot.js";

const REFRESH_MS = 3000;
const PATIENCE_MS = 10_000;
const SPARK_POINTS = 40;
const RANGES = { "5m": 300, "15m": 900, "1h": 3600, "6h": 21600, "1d": 86400 };
const POINTS = 240;
const MOST_SERIES = 100;
const EXAMPLES = [
  ["requests", "sum by (job) (rate(ai_prism_http_requests_total[1m]))"],
  ["error ratio", 'sum by (job) (rate(ai_prism_http_requests_total{status_code=~"5.."}[1m])) / sum by (job) (rate(ai_prism_http_requests_total[1m]))'],
  ["p95 latency", "histogram_quantile(0.95, sum by (job, le) (rate(ai_prism_http_request_duration_seconds_bucket[1m])))"],
  ["model latency", "sum by (model_name) (rate(ai_prism_ai_model_latency_seconds_sum[1m])) / sum by (model_name) (rate(ai_prism_ai_model_latency_seconds_count[1m]))"],
  ["documents", "sum by (document_type) (rate(ai_prism_documents_processed_total[1m]))"],
  ["services up", "min by (component) (ai_prism_system_health)"],
];
const KINDS = {
  firing: "bad", pending: "warn", resolved: "good", investigating: "bad", identified: "warn", monitoring: "info",
  critical: "bad", warning: "warn", P0: "bad", P1: "bad", P2: "warn",
  succeeded: "good", sent: "good", done: "good", failed: "bad", rolled_back: "warn", aborted: "warn", unknown: "warn",
  running: "info", verifying: "info", started: "info",
};

const $ = (id) => document.getElementById(id);
const courses = new Map(); // service → its request rates while this page has been open
const seen = { at: 0, lostAt: 0, services: [], alerts: [], incidents: [] };

// ---- refreshing ------------------------------------------------------------------------------------------------------

const PARTS = [
  ["/aiprism/v1/status", showStatus, "flow"],
  ["/aiprism/v1/services?window=60", showServices, "services"],
  ["/api/v1/alerts", showAlerts, "alerts"],
  ["/aiprism/v1/incidents?status=all&limit=15", showIncidents, "incidents"],
];

async function refresh() {
  const results = await Promise.allSettled(PARTS.map(([path]) => ask(path, AbortSignal.timeout(PATIENCE_MS))));
  const away = results.every((result) => result.status === "rejected");
  results.forEach((result, at) => {
    const [, show, place] = PARTS[at];
    if (result.status === "fulfilled") show(result.value);
    showFault(place, result.status === "rejected" && !away ? result.reason.message : "");
  });
  showPresence(away, results.find((result) => result.status === "rejected")?.reason);
  if (!away) showFigures();
  if (!away && live()) await runQuery({ quiet: true });
}

async function loop() {
  for (;;) {
    if (!document.hidden) await refresh().catch((error) => console.error(error));
    await new Promise((done) => setTimeout(done, REFRESH_MS));
  }
}

function showPresence(away, reason) {
  const now = Date.now() / 1000;
  document.body.classList.toggle("stale", away);
  $("away").hidden = !away;
  if (!away) {
    seen.at = now;
    seen.lostAt = 0;
    return;
  }
  seen.lostAt ||= now;
  const picture = seen.at ? ` What you see is from ${clock(seen.at)}.` : "";
  const why = reason?.status ? `: ${reason.message}` : ", so it is down or cannot be reached from here";
  $("away").textContent =
    `aiprism at ${location.host} has not answered since ${clock(seen.lostAt)}${why}.${picture} This page tries again every ${REFRESH_MS / 1000} s.`;
  showState("bad", "no answer");
}

// One part that cannot be had leaves the others as they are, and says so where it would stand.
function showFault(place, text) {
  const panel = $(place).parentElement;
  panel.querySelector(".fault")?.remove();
  if (text) $(place).before(el("p", { class: "fault bad" }, text));
}

function showState(kind, text) {
  fill($("state"), el("i", { class: `dot ${kind}` }), el("span", {}, text));
}

// ---- status and pipeline ---------------------------------------------------------------------------------------------

function showStatus(status) {
  $("version").textContent = status.version;
  const wrong = Object.entries(status.checks).filter(([, word]) => word !== "ok");
  if (wrong.length) showState("warn", `not ready: ${wrong.map(([name, why]) => `${name}: ${why}`).join("; ")}`);
  else showState("good", `ready, ${clock(Date.now() / 1000)}`);
  const rows = status.flow.map((row) => [
    el("td", { class: "mono" }, row.stage),
    number(row.passed ?? 0),
    el("td", { class: "number" }, dropped(row.dropped)),
    el("td", { class: "rest" }, Object.entries(row.dropped).filter(([, count]) => count > 0).map(([why, count]) => `${why} ${number(count)}`).join(", ")),
  ]);
  fill($("flow"), rows.length ? table(["stage", ">passed", ">dropped", "why"], rows) : nothing("nothing has come in yet"));
}

function dropped(reasons) {
  const count = Object.values(reasons).reduce((sum, each) => sum + each, 0);
  return el("span", { class: count ? "warn" : "faint" }, number(count));
}

function showFigures() {
  const { services, alerts, incidents } = seen;
  const rate = services.reduce((sum, row) => sum + row.rate, 0);
  const errors = rate ? services.reduce((sum, row) => sum + row.rate * row.error_share, 0) / rate : 0;
  const firing = alerts.filter((alert) => alert.state === "firing").length;
  const open = incidents.filter((incident) => incident.status !== "resolved").length;
  fill($("figures"),
    figure(services.length, "services"),
    figure(number(rate), "requests/s"),
    figure(percent(errors), "failed", errors >= 0.05 ? "bad" : errors >= 0.01 ? "warn" : ""),
    figure(firing, firing === 1 ? "alert firing" : "alerts firing", firing ? "bad" : ""),
    figure(open, open === 1 ? "open incident" : "open incidents", open ? "warn" : ""));
}

function figure(value, label, kind = "") {
  return el("div", { class: `figure ${kind}` }, el("b", {}, String(value)), el("span", {}, label));
}

// ---- services --------------------------------------------------------------------------------------------------------

function showServices({ services }) {
  seen.services = services;
  for (const row of services) {
    const course = courses.get(row.service) ?? [];
    courses.set(row.service, [...course, row.rate].slice(-SPARK_POINTS));
  }
  const rows = services.map((row) => [
    el("td", { class: "name" }, row.service),
    el("td", { class: "hide-small" }, spark(courses.get(row.service))),
    number(row.rate),
    el("td", { class: `number ${row.error_share >= 0.05 ? "bad" : row.error_share >= 0.01 ? "warn" : ""}` }, percent(row.error_share)),
    duration(row.p50_ms / 1000),
    duration(row.p95_ms / 1000),
  ]);
  const made = rows.length && table(["service", "", ">req/s", ">errors", ">p50", ">p95"], rows);
  made && made.querySelectorAll("th")[1].classList.add("hide-small");
  fill($("services"), made || nothing("No service has answered a request in the last minute. Point one at this server: OTLP on port 4317 or 4318."));
}

function spark(values) {
  const [width, height] = [92, 18];
  const svg = el("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const top = Math.max(...values) || 1;
  const points = values.map((value, at) => [width - (values.length - 1 - at) * (width / (SPARK_POINTS - 1)), height - 2 - (value / top) * (height - 4)]);
  if (points.length < 2) return svg;
  const path = points.map((point) => point.map((part) => part.toFixed(1)).join(",")).join("L");
  svg.append(
    el("path", { class: "under", d: `M${points[0][0].toFixed(1)},${height}L${path}L${width},${height}Z` }),
    el("path", { d: `M${path}` }));
  return svg;
}

// ---- alerts and incidents --------------------------------------------------------------------------------------------

function showAlerts({ data }) {
  seen.alerts = [...data.alerts].sort((one, other) =>
    (one.state !== "firing") - (other.state !== "firing") || one.activeAt.localeCompare(other.activeAt));
  const now = Date.now() / 1000;
  const rows = seen.alerts.map((alert) => [
    state(alert.state),
    el("td", { class: "name" }, alert.labels.alertname),
    el("td", { class: "word" }, alert.labels.service ?? ""),
    el("td", { class: "number" }, duration(Math.max(0, Math.round(now - Date.parse(alert.activeAt) / 1000)))),
    el("td", { class: "hide-small" }, alert.annotations.summary ?? ""),
  ]);
  const made = rows.length && table(["", "alert", "service", ">for", "summary"], rows);
  made && made.querySelectorAll("th")[4].classList.add("hide-small");
  fill($("alerts"), made || nothing("Nothing is pending or firing."));
}

function showIncidents({ incidents }) {
  seen.incidents = incidents;
  const place = $("incidents");
  if (!incidents.length) return void fill(place, nothing("There has been no incident."));
  const known = new Map([...place.querySelectorAll(".incident")].map((node) => [node.dataset.id, node]));
  const nodes = incidents.map((incident) => known.get(incident.id) ?? incidentNode(incident));
  // What is going on now is shown unfolded the first time; after that the reader decides.
  if (!known.has(incidents[0].id) && incidents[0].status !== "resolved") nodes[0].open = true;
  // Nodes that are in place stay there: moving one would take the focus and the pointer from under the reader.
  if (nodes.length !== place.children.length || nodes.some((node, at) => node !== place.children[at])) fill(place, nodes);
  nodes.forEach((node, at) => updateIncident(node, incidents[at]));
}

function incidentNode(incident) {
  const node = el("details", { class: "incident", "data-id": incident.id }, el("summary"), el("div", { class: "inside" }));
  node.addEventListener("toggle", () => {
    node.told = 0;
    if (node.open) unfold(node);
  });
  return node;
}

function updateIncident(node, incident) {
  const now = Date.now() / 1000;
  const lasted = duration(Math.round((incident.resolved_at ?? now) - incident.created_at));
  const when = incident.resolved_at ? `${clock(incident.created_at)}, lasted ${lasted}` : `open for ${lasted}`;
  fill(node.querySelector("summary"),
    state(incident.priority), state(incident.status),
    el("span", { class: "title" }, incident.title), el("span", { class: "quiet when" }, when));
  node.changed = incident.updated_at;
  if (node.open) unfold(node);
}

// An open incident may get notifications and steps without a change of its own, so it is asked for every time.
async function unfold(node) {
  if (node.told && node.told === node.changed && node.closed) return;
  try {
    const incident = await ask(`/aiprism/v1/incidents/${encodeURIComponent(node.dataset.id)}`, AbortSignal.timeout(PATIENCE_MS));
    node.told = incident.updated_at;
    node.closed = incident.status === "resolved" && Date.now() / 1000 - incident.resolved_at > 60;
    const isFound = (incident.timeline ?? []).some((entry) => entry.event === "investigated");
    const found = isFound
      ? await ask(`/aiprism/v1/incidents/${encodeURIComponent(node.dataset.id)}/investigation`, AbortSignal.timeout(PATIENCE_MS))
      : null;
    fill(node.querySelector(".inside"), incidentInside(incident, found));
  } catch (error) {
    if (!node.told) fill(node.querySelector(".inside"), nothing(error.message));
  }
}

function incidentInside(incident, found) {
  const facts = [["", incident.id], ["services", incident.services.join(", ") || "–"], ["opened", moment(incident.created_at)],
    ...Object.entries(incident.durations ?? {}).filter(([, value]) => value !== null).map(([name, value]) => [name, duration(value)])];
  return [
    el("div", { class: "facts" }, facts.map(([name, value]) => el("span", {}, name ? `${name} ` : "", name ? el("b", {}, value) : el("code", {}, value)))),
    ...investigationOf(found),
    el("h3", {}, "timeline"),
    el("ol", { class: "timeline" }, (incident.timeline ?? []).map((entry) => timelineEntry(incident, entry))),
    ...notificationsOf(incident),
    ...runsOf(incident),
  ];
}

function investigationOf(found) {
  if (!found) return [];
  const told = found.findings ?? {};
  const causes = (told.hypotheses ?? []).slice(0, 3).map((each) => el("li", {},
    el("b", {}, `${Math.round(100 * each.confidence)} % `), each.statement,
    ...each.evidence.slice(0, 3).map((line) => el("div", { class: "quiet" }, line)),
    ...each.next_steps.slice(0, 2).map((line) => el("div", {}, `→ ${line}`))));
  return [el("h3", {}, "investigation"), el("p", {}, found.conclusion || `it is ${found.state}`),
    ...(causes.length ? [el("ol", {}, causes)] : []),
    ...(told.missed ?? []).map((line) => el("p", { class: "quiet" }, `not looked at: ${line}`))];
}

function timelineEntry(incident, entry) {
  return el("li", {},
    el("time", { title: moment(entry.at), datetime: new Date(entry.at * 1000).toISOString() }, since(incident.created_at, entry.at)),
    el("span", { class: `mark ${eventKind(entry.event)}` }),
    el("span", { class: "said" }, entry.text || entry.event, el("span", { class: "word" }, entry.event.replaceAll("_", " "))));
}

function eventKind(event) {
  if (/failed|fired|created|escalated|reopened|joined/.test(event)) return "bad";
  if (/resolved|verified|succeeded|cleared/.test(event)) return "good";
  return /^(runbook|monitoring)/.test(event) ? "info" : "";
}

function notificationsOf(incident) {
  if (!incident.notifications?.length) return [];
  const rows = incident.notifications.map((row) => [
    state(row.state), row.channel, row.event,
    row.sent_at === null ? "" : since(incident.created_at, row.sent_at),
    el("td", { class: row.error ? "bad" : "quiet" }, row.error || row.receiver),
  ]);
  return [el("h3", {}, "notifications"), el("div", { class: "scroll" }, table(["", "channel", "told", ">sent", ""], rows))];
}

function runsOf(incident) {
  return (incident.runs ?? []).flatMap((run) => {
    const rows = run.steps.map((step) => [
      state(step.state), step.kind, step.name,
      step.finished_at && step.started_at ? duration(step.finished_at - step.started_at) : "",
      el("td", { class: "quiet" }, step.result?.message ?? ""),
    ]);
    const head = el("h3", {}, `runbook ${run.runbook} `, state(run.state), run.outcome ? ` ${run.outcome}` : "");
    return [head, el("div", { class: "scroll" }, table(["", "kind", "step", ">took", ""], rows))];
  });
}

function state(word) {
  return tag(word, KINDS[word] ?? "");
}

function nothing(text) {
  return el("p", { class: "none" }, text);
}

// ---- the PromQL box --------------------------------------------------------------------------------------------------

const wanted = { expression: "", range: "15m", form: "graph", ...fromAddress() };
let running = null;

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const range = given.get("range");
  return {
    ...(given.has("query") && { expression: given.get("query") }),
    ...(range in RANGES && { range }),
    ...(["graph", "table"].includes(given.get("form")) && { form: given.get("form") }),
  };
}

function live() {
  return wanted.expression && !running && !$("answer").matches(":hover") && $("expression").value.trim() === wanted.expression;
}

function prepareQuery() {
  $("expression").value = wanted.expression || EXAMPLES[0][1];
  $("query").addEventListener("submit", (event) => {
    event.preventDefault();
    choose({ expression: $("expression").value.trim() });
  });
  fill($("examples"), EXAMPLES.map(([name, expression]) =>
    el("button", { type: "button", title: expression, onclick: () => choose({ expression }) }, name)));
  showChoices();
  ask("/api/v1/label/__name__/values", AbortSignal.timeout(PATIENCE_MS))
    .then(({ data }) => fill($("metrics"), data.slice(0, 2000).map((name) => el("option", { value: name }))))
    .catch(() => {}); // completion is a comfort; the query itself will say what is wrong
  if (!wanted.expression) wanted.expression = EXAMPLES[0][1];
  runQuery();
}

function showChoices() {
  const buttons = (names, now, set) => names.map((name) =>
    el("button", { type: "button", "aria-pressed": String(name === now), onclick: () => set(name) }, name));
  fill($("ranges"), buttons(Object.keys(RANGES), wanted.range, (range) => choose({ range })));
  fill($("forms"), buttons(["graph", "table"], wanted.form, (form) => choose({ form })));
}

function choose(changes) {
  Object.assign(wanted, changes);
  $("expression").value = wanted.expression;
  history.replaceState(null, "", `#${new URLSearchParams({ query: wanted.expression, range: wanted.range, form: wanted.form })}`);
  showChoices();
  runQuery();
}

async function runQuery({ quiet = false } = {}) {
  if (!wanted.expression) return;
  running?.abort();
  const mine = (running = new AbortController());
  try {
    await (wanted.form === "graph" ? showGraph(mine.signal) : showTable(mine.signal));
    $("complaint").hidden = true;
  } catch (error) {
    if (error.name === "AbortError" || mine.signal.aborted) return;
    if (quiet && !error.status) return; // the banner says it already
    $("complaint").textContent = error.message;
    $("complaint").hidden = false;
    if (!quiet) fill($("answer"));
  } finally {
    if (running === mine) running = null;
  }
}

async function showGraph(signal) {
  const span = RANGES[wanted.range];
  const step = Math.max(1, Math.round(span / POINTS));
  const end = Math.floor(Date.now() / 1000 / step) * step;
  const start = end - span;
  const parameters = new URLSearchParams({ query: wanted.expression, start, end, step });
  const { data } = await ask(`/api/v1/query_range?${parameters}`, signal);
  const all = data.result.map((each) => ({
    label: seriesName(each.metric),
    points: (each.values ?? []).map(([at, value]) => [at, Number(value.replace("Inf", "Infinity"))]),
  }));
  const place = $("answer");
  if (!all.length) return void fill(place, nothing(`Nothing matches in the last ${wanted.range}.`));
  plot(place, all.slice(0, MOST_SERIES), { start, end, step });
  if (all.length > MOST_SERIES) place.append(nothing(`${all.length} series match; the first ${MOST_SERIES} are drawn.`));
}

async function showTable(signal) {
  const { data } = await ask(`/api/v1/query?${new URLSearchParams({ query: wanted.expression })}`, signal);
  const place = $("answer");
  if (data.resultType === "scalar" || data.resultType === "string") {
    return void fill(place, table(["", ">value"], [[data.resultType, data.result[1]]], "instant"));
  }
  if (!data.result.length) return void fill(place, nothing("Nothing matches now."));
  const value = (each) => {
    if (each.histogram) return `histogram of ${number(Number(each.histogram[1].count))}`;
    if (each.value) return number(Number(each.value[1].replace("Inf", "Infinity")));
    return `${(each.values ?? []).length + (each.histograms ?? []).length} samples`;
  };
  const rows = data.result.slice(0, 1000).map((each) => [seriesName(each.metric), value(each)]);
  fill(place, el("div", { class: "scroll" }, table(["series", ">value"], rows, "instant")));
}

function seriesName({ __name__: name = "", ...labels }) {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(", ");
  return pairs || !name ? `${name}{${pairs}}` : name;
}

prepareQuery();
loop();
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
addEventListener("resize", () => { if (live()) runQuery({ quiet: true }); });
