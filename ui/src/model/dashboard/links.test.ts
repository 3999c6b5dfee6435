import { describe, expect, it } from "vitest";
import { field } from "./frames";
import type { Scope } from "./interpolate";
import { leadOf, leadTo, readLink } from "./links";
import type { Frame } from "./types";

const scope: Scope = {
  chosen: {
    ns: { values: ["a b"], texts: ["a b"], all: false },
    pod: { values: ["p1", "p2"], texts: ["p1", "p2"], all: true },
  },
  span: { start: 100, end: 200 },
  range: { from: "now-6h", to: "now" },
  step: 15,
  scrape: 15,
};
const frame: Frame = {
  refId: "A",
  name: "A",
  form: "table",
  fields: [
    field("Time", "time", [50, 60]),
    field("pod", "text", ["p/1", "p 2"]),
    { ...field("Value #A", "number", [1, 2], { instance: "h:9100", "a.b": "c" }), legend: "load" },
  ],
};
const at = (name: string, row?: number) => ({ frame, row, field: frame.fields.find((each) => each.name === name)! });
const TIME = "from=now-6h&to=now";

describe("links lead", () => {
  it.each([
    ["/d/abc/some-name", `/dashboards/abc?${TIME}`],
    ["d/abc?var-x=1", `/dashboards/abc?var-x=1&${TIME}`],
    ["/d/abc/x?from=1&to=2", "/dashboards/abc?from=1&to=2"],
    ["/d/abc?var-ns=$ns", `/dashboards/abc?var-ns=a%20b&${TIME}`],
    ["/d/abc?var-pod=${__data.fields.pod}", `/dashboards/abc?var-pod=p%202&${TIME}`],
    ['/d/abc?x=${__data.fields["Value #A"]}&y=${__data.fields[1]}', `/dashboards/abc?x=2&y=p%202&${TIME}`],
    ["/d/abc?v=${__value.raw}&t=${__value.time}&s=${__series.name}", `/dashboards/abc?v=2&t=60000&s=load&${TIME}`],
    ["/d/abc?i=${__field.labels.instance}&n=${__field.name}", `/dashboards/abc?i=h%3A9100&n=load&${TIME}`],
    ['/d/abc?i=${__field.labels["a.b"]}', `/dashboards/abc?i=c&${TIME}`],
    ["/d/abc?p=$__cell_1&v=${__cell:raw}", `/dashboards/abc?p=p%202&v=2&${TIME}`],
    ["/d/abc?${__url_time_range}", "/dashboards/abc?from=100000&to=200000"],
    ["/d/abc?$__all_variables", `/dashboards/abc?var-ns=a%20b&var-pod=$__all&${TIME}`],
    ["/dashboard/db/node-exporter", "/dashboards?find=node%20exporter"],
    ["/explore/traces/1", `/explore/traces/1?${TIME}`],
  ])("%s", (url, to) => expect(leadOf(readLink({ url }), scope, at("Value #A"))).toMatchObject({ to, inside: true }));

  it.each([
    ["https://example.org/x?q=${__value.text}", "https://example.org/x?q=1"],
    ["javascript:alert(1)", "#"],
    ["//evil.example/x", "#"],
  ])("elsewhere: %s", (url, to) =>
    expect(leadOf(readLink({ url }), scope, at("Value #A", 0))).toMatchObject({ to, inside: false }),
  );

  it("with time and variables where they shall be kept", () => {
    const link = readLink({ url: "https://example.org/", keepTime: true, includeVars: true });
    expect(leadOf(link, scope).to).toBe(`https://example.org/?${TIME}&var-ns=a%20b&var-pod=$__all`);
    expect(leadTo("xyz", link, scope)).toBe(`/dashboards/xyz?var-ns=a%20b&var-pod=$__all&${TIME}`);
  });

  it.each([
    [{ title: "$ns of ${__field.labels.instance}", url: "/x" }, "a b of h:9100"],
    [{ type: "dashboard", dashboard: "Node Exporter" }, "Node Exporter"],
    [{ type: "dashboards", tags: ["k8s"] }, "k8s"],
  ])("are called: %o", (json, title) => expect(leadOf(readLink(json), scope, at("Value #A")).title).toBe(title));

  it("of old name a dashboard", () =>
    expect(readLink({ dashboard: "Node Exporter", params: "var-a=1" }).url).toBe("dashboard/db/node-exporter?var-a=1"));
});
