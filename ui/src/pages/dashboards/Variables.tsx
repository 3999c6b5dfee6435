import { MultiSelect, Select, TextInput } from "@mantine/core";
import { type QueryClient, type UseQueryResult, useQueries, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { get } from "@/api/http";
import { queryInstant, seriesName } from "@/api/prometheus";
import { useTime } from "@/components/time";
import { interpolate, type Scope } from "@/model/dashboard/interpolate";
import { pattern } from "@/model/dashboard/pattern";
import type { Chosen, Option, Variable } from "@/model/dashboard/types";
import {
  ALL,
  adhocMatchers,
  autoInterval,
  chosenOf,
  customOptions,
  inOrder,
  optionsOf,
  question,
} from "@/model/dashboard/variables";
import type { Span } from "@/model/timerange";
import { SCRAPE } from "./data";

export interface Variables {
  readonly all: readonly Variable[];
  /** What panels are asked with: as it was last while something is not known yet. */
  readonly chosen: Readonly<Record<string, Chosen>>;
  /** What is said to be chosen now. */
  readonly said: Readonly<Record<string, Chosen>>;
  readonly options: Readonly<Record<string, readonly Option[]>>;
  readonly ready: boolean;
  readonly faults: readonly string[];
  readonly adhoc: string;
}

/** What the variables of a dashboard may be and are: those whose query names others are asked when these are known. */
export function useVariables(variables: readonly Variable[]): Variables {
  const [params] = useSearchParams();
  const { span } = useTime();
  const client = useQueryClient();
  const ordered = useMemo(() => inOrder(variables), [variables]);
  // A variable's query depends on what those before it have become, which the answers that are there already say.
  const scope = (chosen: Record<string, Chosen>): Scope => ({ chosen, span, step: 60, scrape: SCRAPE });
  const asked = (chosen: Record<string, Chosen>, variable: Variable) => {
    const text = interpolate(variable.query, scope(chosen), "promql");
    return { key: ["variable", text, Math.round(span.start / 60), Math.round(span.end / 60)], text };
  };
  const walk = () => {
    const chosen: Record<string, Chosen> = {};
    const options: Record<string, readonly Option[]> = {};
    const wanted: { key: unknown[]; text: string }[] = [];
    let ready = true;
    for (const variable of ordered) {
      const said = params.getAll(`var-${variable.name}`);
      if (variable.type === "query" && variable.kind === "prometheus") {
        const each = asked(chosen, variable);
        wanted.push(each);
        // Asked anew as time goes on: until it is answered, it is what it was.
        const found = client.getQueryData<readonly string[]>(each.key) ?? lastOf(client, each.text);
        const failed = client.getQueryState(each.key)?.status === "error";
        if (!found && !failed) {
          ready = false;
          break; // what comes after may depend on it
        }
        const regex = interpolate(variable.regex, scope(chosen), "regex");
        options[variable.name] = optionsOf({ ...variable, regex }, found ?? []);
      } else options[variable.name] = fixedOptions(variable, span);
      chosen[variable.name] = resolved(chosenOf(variable, options[variable.name]!, said), variable, span);
    }
    return { chosen, options, wanted, ready };
  };
  const before = walk();
  const answers = useQueries({
    queries: before.wanted.map(({ key, text }) => ({
      queryKey: key,
      queryFn: ({ signal }: { signal: AbortSignal }) => valuesOf(text, span, signal),
      staleTime: 60_000,
    })),
    combine: answered,
  });
  const now = walk();
  const [held, hold] = useState<string | null>(null); // what it was when all was known
  const known = now.ready ? JSON.stringify(now.chosen) : null;
  if (known !== null && known !== held) hold(known);
  const settled = known ?? held;
  const faults = [...answers.errors, ...variables.flatMap(({ missing }) => (missing ? [missing] : []))];
  const text = settled ?? JSON.stringify(now.chosen);
  const chosen = useMemo(() => JSON.parse(text) as Record<string, Chosen>, [text]);
  const filters = variables.filter(({ type }) => type === "adhoc").flatMap(({ name }) => params.getAll(`var-${name}`));
  const said = { ...chosen, ...now.chosen };
  return {
    all: variables,
    chosen,
    said,
    options: now.options,
    ready: settled !== null,
    faults,
    adhoc: adhocMatchers(filters),
  };
}

/** What a query found when it was asked last, for another time. */
function lastOf(client: QueryClient, text: string): readonly string[] | undefined {
  const [last] = client
    .getQueryCache()
    .findAll({ queryKey: ["variable", text], predicate: ({ state }) => state.status === "success" })
    .toSorted((one, other) => other.state.dataUpdatedAt - one.state.dataUpdatedAt);
  return last?.state.data as readonly string[] | undefined;
}

/** An answer is something new, also where it was no error: what comes after it may now be asked. */
function answered(results: UseQueryResult<readonly string[]>[]) {
  return {
    answers: results.map(({ data }) => data),
    errors: results.flatMap(({ error }) => (error ? [error.message] : [])),
  };
}

function fixedOptions(variable: Variable, span: Span): readonly Option[] {
  switch (variable.type) {
    case "custom":
      return customOptions(variable.query);
    case "interval": {
      const steps = customOptions(variable.query);
      return variable.auto ? [{ text: `auto (${autoInterval(span, variable.auto)})`, value: "auto" }, ...steps] : steps;
    }
    case "datasource":
      return [{ text: "aiprism", value: "aiprism" }];
    default:
      return variable.options;
  }
}

function resolved(chosen: Chosen, variable: Variable, span: Span): Chosen {
  if (variable.type === "datasource") return { values: ["aiprism"], texts: ["aiprism"], all: false };
  const automatic = chosen.values[0] === "auto" || chosen.values[0]?.startsWith("$__auto");
  if (variable.type !== "interval" || !automatic) return chosen;
  const value = autoInterval(span, variable.auto ?? { count: 30, least: "10s" });
  return { values: [value], texts: [value], all: false };
}

/** What a variable's query finds, as texts. */
async function valuesOf(query: string, span: Span, signal: AbortSignal): Promise<readonly string[]> {
  const asked = question(query);
  const within = { start: span.start, end: span.end };
  const named = async (label: string, match: string) => {
    const given = { path: { name: label }, query: { ...within, "match[]": match || undefined }, signal };
    return ((await get("/api/v1/label/{name}/values", given)) as { data: readonly string[] }).data;
  };
  switch (asked.kind) {
    case "values":
      return named(asked.label, asked.match);
    case "metrics": {
      const by = pattern(asked.pattern);
      if (!by)
        throw new Error(`“${asked.pattern}” is no pattern of names, or one that could take hours: repeat less in it`);
      return (await named("__name__", "")).filter((name) => by.test(name));
    }
    case "names": {
      const given = { query: { ...within, "match[]": asked.match || undefined }, signal };
      return ((await get("/api/v1/labels", given)) as { data: readonly string[] }).data;
    }
    case "result": {
      const samples = await queryInstant(asked.query, span.end, signal);
      return samples.map(({ labels, value, time }) => `${seriesName(labels)} ${value} ${Math.round(time * 1000)}`);
    }
    case "series": {
      if (!asked.match) return [];
      const samples = await queryInstant(asked.match, span.end, signal);
      return samples.map(({ labels }) => seriesName(labels));
    }
  }
}

/** The variables one can set, side by side; what is set stands in the address as `var-name`. */
export function VariableBar({ variables }: { variables: Variables }) {
  const [, setParams] = useSearchParams();
  const set = (name: string, values: readonly string[]) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        after.delete(`var-${name}`);
        for (const value of values) after.append(`var-${name}`, value);
        return after;
      },
      { replace: true },
    );
  const shown = variables.all.filter(({ hide, type }) => hide !== "variable" && type !== "constant");
  return shown.map((variable) => (
    <Choice
      key={variable.name}
      variable={variable}
      options={variables.options[variable.name] ?? []}
      chosen={variables.said[variable.name]}
      set={(values) => set(variable.name, values)}
    />
  ));
}

interface ChoiceProps {
  readonly variable: Variable;
  readonly options: readonly Option[];
  readonly chosen: Chosen | undefined;
  readonly set: (values: readonly string[]) => void;
}

function Choice({ variable, options, chosen, set }: ChoiceProps) {
  const { label, type, multi, includeAll } = variable;
  const [params] = useSearchParams();
  if (type === "textbox" || type === "adhoc") {
    const typed = type === "adhoc" ? params.getAll(`var-${variable.name}`).join(" ") : (chosen?.values[0] ?? "");
    return (
      <TextInput
        key={typed}
        size="xs"
        label={label}
        placeholder={type === "adhoc" ? "label|=|value …" : ""}
        defaultValue={typed}
        onBlur={({ currentTarget: { value } }) =>
          value !== typed && set(type === "adhoc" ? value.split(/\s+/) : [value])
        }
        onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
      />
    );
  }
  const known = new Set(options.map(({ value }) => value));
  const others = chosen && !chosen.all ? chosen.values.filter((value) => !known.has(value)) : [];
  const data = [
    ...(includeAll ? [{ value: ALL, label: "All" }] : []),
    ...[...new Map(options.map((each) => [each.value, each])).values()].map(({ text, value }) => ({
      value,
      label: text,
    })),
    ...others.map((value) => ({ value, label: value })),
  ];
  const value = chosen?.all ? [ALL] : [...(chosen?.values ?? [])];
  if (!multi) {
    return (
      <Select
        size="xs"
        label={label}
        data={data}
        value={value[0] ?? null}
        searchable
        allowDeselect={false}
        onChange={(next) => next !== null && set([next])}
      />
    );
  }
  const change = (next: string[]) => {
    const all = next.at(-1) === ALL || next.length === 0;
    set(all && includeAll ? [ALL] : next.filter((each) => each !== ALL));
  };
  return <MultiSelect size="xs" maw={360} label={label} data={data} value={value} searchable onChange={change} />;
}
