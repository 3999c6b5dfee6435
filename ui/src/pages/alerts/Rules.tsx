import type { ReactNode } from "react";
import { Link } from "react-router";
import { type Rule, type RuleGroup, useRules } from "@/api/rules";
import { Ago } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useUrl } from "@/components/time";
import { ruleFile } from "@/model/backtest";
import { formatDuration } from "@/model/timerange";
import { format } from "@/model/units";

/** Every rule with its state, when it was evaluated last and how long that took, group by group. */
export function Rules() {
  const groups = useRules();
  const goto = useGoto();
  const [sought, setSought] = useUrl("rule");
  const past = (rule: Rule, { interval }: RuleGroup) => goto("/alerts/backtest", { rules: ruleFile(rule, interval) });
  const columns = (group: RuleGroup): Column<Rule>[] => [
    { title: "state", cell: (rule) => <Tag of={stateOf(rule)} />, by: stateOf, width: "90px" },
    {
      title: "rule",
      cell: ({ name, query, asks, lastError }) => (
        <>
          <strong>{name}</strong>
          <div>
            {asks ? (
              <Link to={goto(...searched(asks))} className="mono quiet">
                {query}
              </Link>
            ) : (
              <Link to={goto("/explore/metrics", { q: query })} className="mono quiet">
                {query}
              </Link>
            )}
          </div>
          {lastError && <div className="bad">{lastError}</div>}
        </>
      ),
      by: ({ name }) => name,
    },
    {
      title: "for",
      cell: ({ duration }) => (duration ? formatDuration(duration) : ""),
      by: ({ duration }) => duration ?? 0,
      number: true,
      small: false,
    },
    {
      title: "alerts",
      cell: ({ alerts }) => alerts?.length || "",
      by: ({ alerts }) => alerts?.length ?? 0,
      number: true,
    },
    { title: "evaluated", cell: ({ lastEvaluation }) => when(lastEvaluation), number: true, small: false },
    {
      title: "took",
      cell: ({ evaluationTime }) => format(evaluationTime, "s"),
      by: ({ evaluationTime }) => evaluationTime,
      number: true,
      small: false,
    },
    {
      title: "past",
      cell: (rule) =>
        rule.type === "alerting" && (
          <Link to={past(rule, group)} aria-label={`backtest ${rule.name}`}>
            backtest
          </Link>
        ),
    },
  ];
  return (
    <>
      <Sought
        maw={320}
        label="find rules"
        hint="a word of a rule's name or expression"
        value={sought}
        onChange={setSought}
      />
      <Shown of={groups} rows={8}>
        {(all) => {
          const shown = all
            .map((group) => ({ ...group, rules: group.rules.filter((rule) => isSought(rule, sought)) }))
            .filter(({ rules }) => rules.length > 0);
          if (all.length === 0)
            return (
              <Nothing title="No rules">
                Name files of rules in prometheus.yml (rule_files), or in aiprism.yml (rules.files).
              </Nothing>
            );
          if (shown.length === 0)
            return <Nothing title="No match">No rule's name or expression has these words.</Nothing>;
          return shown.map((group) => (
            <Panel key={`${group.file} ${group.name}`} title={group.name} note={aboutGroup(group)}>
              <Table
                label={`rules of ${group.name}`}
                columns={columns(group)}
                rows={group.rules}
                id={({ name }, at) => `${at} ${name}`}
              />
            </Panel>
          ));
        }}
      </Shown>
    </>
  );
}

/** Where the records are that a rule on logs or traces counts. */
function searched(asks: NonNullable<Rule["asks"]>): [string, Record<string, string>] {
  const signal = "logs" in asks ? "logs" : "traces";
  return [`/explore/${signal}`, { q: String(asks[signal] ?? "") }];
}

function stateOf({ type, health, state }: Rule): string {
  if (health === "err") return "error";
  if (type === "recording") return health === "ok" ? "recording" : health;
  return state ?? "inactive";
}

function isSought({ name, query }: Rule, sought: string): boolean {
  const text = `${name} ${query}`.toLowerCase();
  return sought
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function aboutGroup({ file, interval, evaluationTime }: RuleGroup): string {
  return `every ${formatDuration(interval)}, took ${format(evaluationTime, "s")} · ${file.split("/").at(-1)}`;
}

function when(text: string): ReactNode {
  const at = Date.parse(text) / 1000;
  return at > 0 ? <Ago at={at} /> : "not yet"; // Prometheus' zero is the year 1
}
