/** Values out of JSON that people wrote: the value that is meant where it is of its kind, otherwise what is usual. */

import type { Json } from "./types";

export const NONE: Json = Object.freeze({});

/** The value at `path` (`legend.displayMode`), whatever it is. */
export function at(json: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((value, key) => object(value)[key], json);
}

export function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : NONE;
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function objects(value: unknown): readonly Json[] {
  return list(value).map(object);
}

export function text(value: unknown, usual = ""): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : usual;
}

export function texts(value: unknown): readonly string[] {
  return list(value).flatMap((each) => (typeof each === "string" || typeof each === "number" ? [String(each)] : []));
}

export function bool(value: unknown, usual = false): boolean {
  return typeof value === "boolean" ? value : usual;
}

/** What a table says of a name that somebody wrote; nothing where only every object has it (`constructor`). */
export function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** A number, also where it was written as text; undefined for anything else. */
export function maybe(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "string" || value.trim() === "") return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

export function num(value: unknown, usual: number): number {
  return maybe(value) ?? usual;
}

/** One of `known`, otherwise the first of them. */
export function one<T extends string>(value: unknown, known: readonly [T, ...T[]]): T {
  return known.includes(value as T) ? (value as T) : known[0];
}
