import type { ReactNode } from "react";
import { useRuntime } from "@/api/configuration";
import { useStatus } from "@/api/status";
import { Ago } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useTime } from "@/components/time";
import { dateTime } from "@/model/timerange";

/** Which aiprism this is, since when it runs and on what, and whether what it needs is well. */
export function Status() {
  const status = useStatus();
  const runtime = useRuntime();
  const { utc } = useTime();
  return (
    <>
      <Panel title="This server">
        <Shown of={runtime}>
          {(found) => {
            const started = Date.parse(found.startTime) / 1000;
            const facts: readonly (readonly [string, ReactNode])[] = [
              ["version", status.data?.version ?? ""],
              [
                "started",
                <>
                  {dateTime(started, utc)} (<Ago at={started} />)
                </>,
              ],
              ["host", found.hostname],
              ["directory", found.CWD],
              ["processors", String(found.GOMAXPROCS)],
              ["threads", String(found.goroutineCount)],
              ["its clock", dateTime(Date.parse(found.serverTime) / 1000, utc)],
              ["samples are kept for", found.storageRetention],
            ];
            return (
              <Table
                label="this server"
                columns={[
                  { title: "what", cell: ([name]) => name, width: "180px" },
                  { title: "is", cell: ([, value]) => <code>{value}</code> },
                ]}
                rows={facts}
                id={([name]) => name}
              />
            );
          }}
        </Shown>
      </Panel>
      <Panel title="What it needs">
        <Shown of={status}>
          {({ checks, notes = {} }) => (
            <Table
              label="what it needs"
              columns={[
                { title: "what", cell: ({ name }) => name, width: "180px" },
                {
                  title: "state",
                  cell: ({ state, said }) => (
                    <>
                      {state && <Tag of={state} />} <span className={state === "down" ? "bad" : ""}>{said}</span>
                    </>
                  ),
                },
              ]}
              rows={[
                ...Object.entries(checks).map(([name, word]) => ({
                  name,
                  state: word === "ok" ? "ok" : "down",
                  said: word === "ok" ? "" : word,
                })),
                ...Object.entries(notes).map(([name, said]) => ({ name: `${name} (note)`, state: "", said })),
              ]}
              id={({ name }) => name}
            />
          )}
        </Shown>
      </Panel>
    </>
  );
}
