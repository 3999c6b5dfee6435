import { useEffect, useRef, useState } from "react";
import { type Stage, useStatus } from "@/api/status";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { format } from "@/model/units";

interface Row extends Stage {
  readonly rate: number | null; // a second, between the last two answers
  readonly lost: number;
}

/** Where what is dropped is lost. Elsewhere it was decided so: told by an incident already, silenced, repeated, still learning. */
const LOSES = /^(receive|store|query|respond\.deliver)\b/;
const ORDER = ["receive", "store", "query", "detect", "respond", "notify", "learn"];

/** What every hand-off of aiprism has passed on, and dropped and why. */
export function Flow() {
  const status = useStatus();
  const rates = useRates(status.data?.flow, status.dataUpdatedAt);
  const columns: Column<Row>[] = [
    { title: "hand-off", cell: ({ stage }) => <span className="mono">{stage}</span>, by: ({ stage }) => stage },
    {
      title: "per second",
      cell: ({ rate }) => (rate === null ? <span className="faint">–</span> : format(rate, "none")),
      by: ({ rate }) => rate,
      number: true,
      small: false,
    },
    { title: "passed", cell: ({ passed }) => format(passed, "locale"), by: ({ passed }) => passed, number: true },
    {
      title: "dropped",
      cell: ({ stage, lost }) => (
        <span className={lost && LOSES.test(stage) ? "warn" : "faint"}>{format(lost, "locale")}</span>
      ),
      by: ({ lost }) => lost,
      number: true,
    },
    {
      title: "why",
      cell: ({ dropped }) =>
        Object.entries(dropped)
          .filter(([, count]) => count > 0)
          .map(([why, count]) => `${why} ${format(count, "locale")}`)
          .join(", "),
      small: false,
    },
  ];
  return (
    <Panel title="Pipeline" note="what was handed on since the start, and what was not and why">
      <Shown of={status}>
        {({ flow }) =>
          flow.length ? (
            <Table
              label="pipeline"
              columns={columns}
              rows={flow
                .toSorted((one, other) => place(one) - place(other))
                .map((each) => ({
                  ...each,
                  rate: rates.get(each.stage) ?? null,
                  lost: Object.values(each.dropped).reduce((sum, count) => sum + count, 0),
                }))}
              id={({ stage }) => stage}
            />
          ) : (
            <Nothing title="Nothing has come in yet">Send metrics, logs or traces: see /docs.</Nothing>
          )
        }
      </Shown>
    </Panel>
  );
}

function place({ stage }: Stage): number {
  const at = ORDER.indexOf(stage.split(".")[0]!);
  return at < 0 ? ORDER.length : at;
}

function useRates(flow: readonly Stage[] | undefined, at: number): ReadonlyMap<string, number> {
  const before = useRef<{ at: number; passed: ReadonlyMap<string, number> } | null>(null);
  const [rates, setRates] = useState<ReadonlyMap<string, number>>(new Map());
  useEffect(() => {
    if (!flow) return;
    const passed = new Map(flow.map((each) => [each.stage, each.passed]));
    const last = before.current;
    if (last && at > last.at) {
      const seconds = (at - last.at) / 1000;
      setRates(
        new Map(
          [...passed].map(([stage, count]) => [stage, Math.max(0, count - (last.passed.get(stage) ?? 0)) / seconds]),
        ),
      );
    }
    if (!last || at > last.at) before.current = { at, passed };
  }, [flow, at]);
  return rates;
}
