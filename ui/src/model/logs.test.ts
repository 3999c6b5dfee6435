import { describe, expect, it } from "vitest";
import { attributeNames, courses, fieldOf, type LogRecord, withNewest } from "./logs";

const record = (more: Partial<LogRecord> = {}): LogRecord => ({
  ts_ns: 1e18,
  service: "api",
  level: "INFO",
  body: "hello",
  trace_id: "",
  span_id: "",
  attributes: {},
  resource: {},
  links: {},
  ...more,
});

describe("courses", () => {
  it("are one row a level, the worst last, with zeros where there is none", () => {
    const { times, rows } = courses(
      [
        { at: 120, level: "ERROR", records: 2 },
        { at: 60, level: "INFO", records: 5 },
        { at: 6000, level: "INFO", records: 1 },
      ],
      { start: 70, end: 190 },
      60,
    );
    expect(times).toEqual([60, 120, 180]);
    expect([...rows]).toEqual([
      ["INFO", [5, 0, 0]],
      ["ERROR", [0, 2, 0]],
    ]);
  });
});

describe("fields", () => {
  const some = [
    record({ attributes: { user: "ada" }, resource: { host: "h1" } }),
    record({ attributes: { user: "b" } }),
  ];
  it("are named by how often they occur", () => expect(attributeNames(some)).toEqual(["user", "host"]));
  it("have the value of the record, then of its resource", () => {
    expect(fieldOf(some[0]!, "host")).toBe("h1");
    expect(fieldOf(some[0]!, "service")).toBe("api");
    expect(fieldOf(some[1]!, "host")).toBe("");
  });
});

it("a tail keeps the newest", () => {
  const [a, b, c] = ["a", "b", "c"].map((body) => record({ body }));
  expect(withNewest([a!], [b!, c!], 2).map(({ body }) => body)).toEqual(["c", "b"]);
});
