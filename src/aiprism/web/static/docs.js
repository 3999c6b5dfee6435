// The page at /docs: what /openapi.json says, for reading. Nothing is loaded from elsewhere.

import { ask, el, fill, tag } from "./dom.js";

const VERBS = { get: "info", post: "good", put: "warn", patch: "warn", delete: "bad" };
const ABOUT = {
  receive: "Doors for telemetry. A request is answered once what it carried is stored.",
  explore: "Services, traces and logs.",
  life: "Is it alive, is it ready, what has it counted.",
};
const $ = (id) => document.getElementById(id);

/** Every operation of the document as {verb, path, group, operation}, in its order. */
function operations(document_) {
  return Object.entries(document_.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs)
      .filter(([verb]) => verb in VERBS)
      .map(([verb, operation]) => ({ verb, path, operation, group: operation.tags?.[0] ?? "other" })));
}

function show(document_) {
  $("version").textContent = document_.info.version;
  $("about").textContent = document_.info.description ?? "";
  const all = operations(document_);
  const draw = () => {
    const word = $("find").value.trim().toLowerCase();
    const shown = all.filter(({ verb, path, operation }) =>
      `${verb} ${path} ${operation.summary ?? ""} ${operation.description ?? ""}`.toLowerCase().includes(word));
    const groups = [...new Set(shown.map((each) => each.group))];
    fill($("groups"), groups.length
      ? groups.map((group) => groupNode(group, shown.filter((each) => each.group === group), document_))
      : el("p", { class: "none" }, "No path has that word."));
  };
  $("find").addEventListener("input", draw);
  draw();
}

function groupNode(name, members, document_) {
  return el("section", { class: "panel" },
    el("h2", {}, name, el("small", {}, ABOUT[name] ?? "")),
    members.map((each) => operationNode(each, document_)));
}

function operationNode({ verb, path, operation }, document_) {
  const parameters = (operation.parameters ?? []).map((each) => resolved(each, document_));
  const body = operation.requestBody ? resolved(operation.requestBody, document_) : null;
  return el("details", { class: "operation", id: `${verb}-${path}` },
    el("summary", {},
      el("span", { class: `tag method ${VERBS[verb]}` }, verb.toUpperCase()),
      el("span", {}, el("span", { class: "path" }, path), el("span", { class: "quiet" }, operation.summary ?? ""))),
    el("div", { class: "inside" },
      operation.description ? el("p", {}, operation.description) : null,
      parameters.length ? parameterTable(parameters, document_) : null,
      body ? bodyOf(body, document_) : null,
      answers(operation)));
}

function parameterTable(parameters, document_) {
  const rows = parameters.map((each) => el("tr", {},
    el("td", { class: "name mono" }, each.name, each.required ? el("span", { class: "bad", title: "required" }, " *") : null),
    el("td", { class: "quiet" }, each.in),
    el("td", { class: "mono" }, typeOf(each.schema ?? {}, document_)),
    el("td", {}, each.description ?? "")));
  return el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, rows)));
}

function bodyOf(body, document_) {
  return Object.entries(body.content ?? {}).flatMap(([kind, { schema = {} }]) => [
    el("h3", {}, `body, ${kind}`),
    el("pre", {}, JSON.stringify(example(schema, document_), null, 2)),
  ]);
}

function answers(operation) {
  const codes = Object.entries(operation.responses ?? {}).map(([code, { description }]) => `${code} ${description ?? ""}`.trim());
  return el("p", { class: "quiet" }, `Answers: ${codes.join(" · ") || "not described"}`);
}

function resolved(thing, document_) {
  if (!thing.$ref) return thing;
  const found = thing.$ref.replace(/^#\//, "").split("/").reduce((at, key) => at?.[key], document_);
  return found ?? {};
}

function typeOf(schema, document_) {
  const meant = resolved(schema, document_);
  const choices = meant.anyOf ?? meant.oneOf;
  if (choices) return choices.map((each) => typeOf(each, document_)).filter((name) => name !== "null").join(" or ");
  if (meant.enum) return meant.enum.join(" | ");
  const limits = [["minimum", "≥"], ["exclusiveMinimum", ">"], ["maximum", "≤"], ["pattern", "like"]]
    .filter(([key]) => meant[key] !== undefined).map(([key, sign]) => `${sign} ${meant[key]}`);
  const fallback = meant.default !== undefined && meant.default !== "" && meant.default !== null ? [`default ${JSON.stringify(meant.default)}`] : [];
  const name = meant.type === "array" ? `${typeOf(meant.items ?? {}, document_)}[]` : meant.type ?? "any";
  return [name, ...limits, ...fallback].join(", ");
}

// The shape of a body with type names for values; a type that holds itself is told once.
function example(schema, document_, held = []) {
  if (schema.$ref && held.includes(schema.$ref)) return "…";
  const inside = schema.$ref ? [...held, schema.$ref] : held;
  const meant = resolved(schema, document_);
  const choices = (meant.anyOf ?? meant.oneOf ?? []).filter((each) => each.type !== "null");
  if (choices.length) return example(choices[0], document_, inside);
  if (meant.type === "array") return [example(meant.items ?? {}, document_, inside)];
  if (!meant.properties) return typeOf(meant, document_);
  const required = new Set(meant.required ?? []);
  return Object.fromEntries(Object.entries(meant.properties).map(([name, each]) =>
    [required.has(name) ? name : `${name}?`, example(each, document_, inside)]));
}

ask("/openapi.json").then(show).catch((error) => {
  $("away").textContent = `The API's description cannot be read: ${error.message}. Reload the page once the server is back.`;
  $("away").hidden = false;
});
