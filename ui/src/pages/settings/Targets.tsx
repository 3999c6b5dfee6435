import { SegmentedControl } from "@mantine/core";
import type { ReactNode } from "react";
import { type Targets as Found, type Target, useTargets } from "@/api/targets";
import { Ago } from "@/components/Ago";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useUrl } from "@/components/time";
import { format } from "@/model/units";

/** What is scraped, how that went, and what was found and dropped. */
export function Targets() {
  const targets = useTargets();
  const [state, setState] = useUrl("state", "all");
  const [sought, setSought] = useUrl("find");
  return (
    <Panel
      title="Scrape targets"
      side={
        <SegmentedControl
          size="xs"
          aria-label="state"
          data={["all", "up", "down", "dropped"]}
          value={state}
          onChange={setState}
        />
      }
    >
      <Sought
        maw={320}
        mb={6}
        label="find targets"
        hint="a word of a job, an address or a label"
        value={sought}
        onChange={setSought}
      />
      <Shown of={targets} rows={8}>
        {(found) =>
          state === "dropped" ? <Dropped of={found} /> : <Active of={found} state={state} sought={sought} />
        }
      </Shown>
    </Panel>
  );
}

function Active({ of: found, state, sought }: { of: Found; state: string; sought: string }) {
  const columns: Column<Target>[] = [
    { title: "state", cell: ({ health }) => <Tag of={health} />, by: ({ health }) => health, width: "80px" },
    {
      title: "target",
      cell: ({ scrapeUrl, labels, lastError }) => (
        <>
          <code>{scrapeUrl}</code>
          <div>
            <Labels of={labels} without={["job", "instance"]} />
          </div>
          {lastError && <div className="bad">{lastError}</div>}
        </>
      ),
      by: ({ scrapeUrl }) => scrapeUrl,
    },
    { title: "job", cell: ({ scrapePool }) => scrapePool, by: ({ scrapePool }) => scrapePool, small: false },
    { title: "every", cell: ({ scrapeInterval }) => scrapeInterval, number: true, small: false },
    {
      title: "scraped",
      cell: ({ lastScrape }) => when(lastScrape),
      by: ({ lastScrape }) => lastScrape,
      number: true,
    },
    {
      title: "took",
      cell: ({ lastScrapeDuration }) => (lastScrapeDuration ? format(lastScrapeDuration, "s") : ""),
      by: ({ lastScrapeDuration }) => lastScrapeDuration,
      number: true,
      small: false,
    },
  ];
  if (found.activeTargets.length === 0)
    return (
      <Nothing title="Nothing is scraped">
        Name a prometheus.yml in aiprism.yml (scrape.file): its jobs are scraped. What sends by itself (OTLP, remote
        write) needs no target.
      </Nothing>
    );
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = found.activeTargets.filter(
    (target) =>
      (state === "all" || target.health === state) &&
      words.every((word) =>
        `${target.scrapePool} ${target.scrapeUrl} ${Object.values(target.labels)}`.toLowerCase().includes(word),
      ),
  );
  if (rows.length === 0) return <Nothing title="No match">No target has this state and these words.</Nothing>;
  return (
    <Table
      label="targets"
      columns={columns}
      rows={rows}
      id={({ scrapePool, scrapeUrl }) => `${scrapePool} ${scrapeUrl}`}
    />
  );
}

function Dropped({ of: { droppedTargets, droppedTargetCounts } }: { of: Found }) {
  const counts = Object.entries(droppedTargetCounts).filter(([, count]) => count > 0);
  if (counts.length === 0)
    return <Nothing title="None was dropped">Targets that relabelling drops (relabel_configs) are shown here.</Nothing>;
  return (
    <>
      <p className="quiet">{counts.map(([job, count]) => `${job}: ${count}`).join(", ")}</p>
      <Table
        label="dropped targets"
        columns={[
          { title: "job", cell: ({ scrapePool }) => scrapePool ?? "", width: "140px" },
          { title: "as it was found", cell: ({ discoveredLabels }) => <Labels of={discoveredLabels} /> },
        ]}
        rows={droppedTargets}
        id={(_, at) => String(at)}
      />
    </>
  );
}

function when(text: string): ReactNode {
  const at = Date.parse(text) / 1000;
  return at > 0 ? <Ago at={at} /> : "not yet"; // Prometheus' zero is the year 1
}
