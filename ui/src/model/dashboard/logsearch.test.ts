import { describe, expect, it } from "vitest";
import { logAsk } from "./logsearch";
import { readPanel } from "./read";

const target = (raw: Record<string, unknown> = {}) =>
  readPanel({ type: "logs", datasource: { type: "loki" }, targets: [{ refId: "A", ...raw }] }, 1).targets[0]!;

describe("what a target for logs asks, in Lucene", () => {
  it.each([
    ["level:ERROR timeout", "level:ERROR timeout"],
    ['{namespace="prod"}', "namespace:prod"],
    ['{app="shop", namespace!="dev"}', "(service:shop OR app:shop) -namespace:dev"],
    ['{pod=~".*"}', ""],
    ['{pod=~".+"}', "_exists_:pod"],
    ['{service_name=~".+", pod!=""}', "_exists_:service _exists_:pod"],
    ['{pod=""}', "-_exists_:pod"],
    ['{pod=~"a|b"}', "(pod:a OR pod:b)"],
    ['{pod=~"shop-.*"}', "pod:/^(?:shop-.*)$/"],
    [
      '{service_name="shop"} |= "time out" != `health/z`',
      "(service:shop OR service_name:shop) /time out/ -/health\\/z/",
    ],
    ['{a="b"} |~ "(?i)error" |= ""', "a:b /(?i)error/"],
    ['{a="b"} |= "x" or "y"', "a:b (/x/ OR /y/)"],
    ['{a="b"} | json | status >= 500 and level="error"', "a:b status:>=500 level:error"],
    ['{a="b"} | logfmt | __error__="" | detected_level=~"warn|error"', "a:b (level:warn OR level:error)"],
  ])("%s", (expr, query) => {
    expect(logAsk(target(), expr)).toMatchObject({ query, form: "records", missing: [], impossible: false });
  });

  it("says what of it is not asked", () => {
    const { query, missing } = logAsk(target(), '{a="b"} |= "x" | line_format "{{.msg}}"');
    expect([query, missing]).toEqual(["a:b /x/", ['of query A the part “line_format "{{.msg}}"”']]);
  });

  it.each([
    ['sum by (level) (count_over_time({a="b"} |= "x" [1m]))', "level", false],
    ['sum(count_over_time({a="b"} |= "x"[$__interval])) by (detected_level)', "level", false],
    ['sum(rate({a="b"} |= "x"[5m]))', "", true],
    ['count_over_time({a="b"} |= "x" [5m])', "", false],
  ])("counts: %s", (expr, by, perSecond) => {
    expect(logAsk(target(), expr)).toMatchObject({
      query: "a:b /x/",
      form: "counts",
      by,
      perSecond,
      impossible: false,
    });
  });

  it.each(['sum by (pod) (rate({a="b"}[5m]))', 'quantile_over_time(0.9, {a="b"} | unwrap d [1m])'])(
    "cannot: %s",
    (expr) => {
      expect(logAsk(target(), expr).impossible).toBe(true);
    },
  );

  it.each([
    [{ metrics: [{ type: "logs" }] }, { form: "records", impossible: false }],
    [
      { metrics: [{ type: "count" }], bucketAggs: [{ type: "date_histogram" }] },
      { form: "counts", by: "" },
    ],
    [
      {
        metrics: [{ type: "count" }],
        bucketAggs: [{ type: "terms", field: "level.keyword" }, { type: "date_histogram" }],
      },
      { by: "level" },
    ],
    [{ metrics: [{ type: "avg" }], bucketAggs: [] }, { impossible: true }],
  ])("of Elasticsearch: %o", (raw, expected) => {
    expect(logAsk(target(raw), "status:500")).toMatchObject(expected);
  });
});
