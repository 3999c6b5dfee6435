import { Button } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { useConfiguration } from "@/api/configuration";
import { useCardinality, useGrown } from "@/api/storage";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { useGoto } from "@/components/time";
import { settingsOf } from "@/model/configuration";
import type { Count } from "@/model/storage";
import { format } from "@/model/units";

const MOST = 20;

/** Where series come from: metrics, labels and values with the most of them, and what grew. */
export function Cardinality() {
  const found = useCardinality(MOST);
  return (
    <Shown of={found} rows={8}>
      {({ headStats, ...counts }) => (
        <>
          <div className="figures">
            <Figure value={format(headStats.numSeries, "locale")} name="series known" />
            <Limit />
            <Figure value={format(headStats.numLabelPairs, "locale")} name="pairs of labels and values" />
          </div>
          <Grown />
          <div className="grid2">
            <Counts title="Metrics with the most series" of={counts.seriesCountByMetricName} metric />
            <Counts title="Labels with the most values" of={counts.labelValueCountByLabelName} />
            <Counts title="Values with the most series" of={counts.seriesCountByLabelValuePair} />
            <Counts title="Labels that take the most memory" of={counts.memoryInBytesByLabelName} unit="bytes" />
          </div>
        </>
      )}
    </Shown>
  );
}

function Figure({ value, name }: { value: string; name: string }) {
  return (
    <div className="figure">
      <b>{value}</b>
      <span>{name}</span>
    </div>
  );
}

/** How many series may be there, as the configuration says. */
function Limit() {
  const yaml = useConfiguration().data;
  const said = yaml && settingsOf(yaml).find(({ path }) => path === "ingest.max_series")?.value;
  if (!said) return null;
  return <Figure value={format(Number(said), "locale")} name="most of them (ingest.max_series)" />;
}

function Grown() {
  const [at, setAt] = useState(0);
  const grown = useGrown(at, at > 0);
  return (
    <Panel
      title="What grew in the last hour"
      side={
        <Button size="compact-xs" variant="subtle" onClick={() => setAt(Math.floor(Date.now() / 1000))}>
          {at ? "look again" : "look"}
        </Button>
      }
    >
      {at === 0 ? (
        <div className="quiet">All series of now and of an hour ago are counted, when you ask for it.</div>
      ) : (
        <Shown of={grown}>
          {(counts) =>
            counts.length > 0 ? (
              <Rows label="metrics that grew" of={counts} metric />
            ) : (
              <Nothing title="Nothing grew">No metric has more series than an hour ago.</Nothing>
            )
          }
        </Shown>
      )}
    </Panel>
  );
}

interface Props {
  readonly of: readonly Count[];
  readonly metric?: boolean;
  readonly unit?: string;
}

function Counts({ title, ...props }: Props & { readonly title: string }) {
  return (
    <Panel title={title}>
      {props.of.length > 0 ? (
        <Rows label={title} {...props} />
      ) : (
        <Nothing title="No series yet">Send metrics, or have them scraped.</Nothing>
      )}
    </Panel>
  );
}

function Rows({ label, of: counts, metric = false, unit = "locale" }: Props & { readonly label: string }) {
  const goto = useGoto();
  const columns: Column<Count>[] = [
    {
      title: "name",
      cell: ({ name }) =>
        metric ? (
          <Link className="mono" to={goto("/explore/metrics", { q: `count by (job) (${name})`, view: "both" })}>
            {name}
          </Link>
        ) : (
          <code>{name}</code>
        ),
      by: ({ name }) => name,
    },
    { title: "count", cell: ({ value }) => format(value, unit), by: ({ value }) => value, number: true },
  ];
  return <Table label={label} columns={columns} rows={counts} id={({ name }) => name} />;
}
