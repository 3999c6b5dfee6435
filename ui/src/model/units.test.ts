import { expect, test } from "vitest";
import { format } from "./units";

test.each([
  [0, "short", "0"],
  [1234, "short", "1.23 K"],
  [1_500_000, "short", "1.5 Mil"],
  [0.00012, "short", "0.00012"],
  [999_999, "short", "1 Mil"],
  [1536, "bytes", "1.5 KiB"],
  [1500, "decbytes", "1.5 kB"],
  [2048, "kbytes", "2 MiB"],
  [0.256, "percentunit", "25.6%"],
  [12.5, "percent", "12.5%"],
  [0.0042, "s", "4.2 ms"],
  [90, "s", "1.5 min"],
  [1500, "ms", "1.5 s"],
  [7200, "s", "2 h"],
  [5400, "dtdurations", "1h30m"],
  [12.34, "reqps", "12.3 req/s"],
  [1234.5, "currencyUSD", "$1.23k"],
  [-3, "currencyEUR", "-€3"],
  [1, "bool", "True"],
  [255, "hex", "FF"],
  [3, "suffix:docs", "3 docs"],
  [3, "furlongs", "3 furlongs"],
  [Number.NaN, "s", "NaN"],
  [Number.POSITIVE_INFINITY, "s", "+Inf"],
  [null, "s", "–"],
] as const)("%s as %s is %s", (value, unit, text) => expect(format(value, unit)).toBe(text));

test("decimals that are asked for are kept", () => expect(format(1, "percent", 2)).toBe("1.00%"));
