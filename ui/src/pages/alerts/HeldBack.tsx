import { SegmentedControl } from "@mantine/core";
import { type Held, useHeld } from "@/api/silences";
import { Ago } from "@/components/Ago";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useTime, useUrl } from "@/components/time";
import { dateTime } from "@/model/timerange";

/** Notifications that nobody gets, each with the stage of the pipeline that holds it. */
export function HeldBack() {
  const { utc } = useTime();
  const [state, setState] = useUrl("held", "held");
  const held = useHeld(state === "past" ? "past" : "held");
  const columns: Column<Held>[] = [
    { title: "held by", cell: ({ stage }) => <Tag of={stage} kind="warn" />, by: ({ stage }) => stage, width: "110px" },
    { title: "why", cell: ({ reason }) => reason },
    {
      title: "alert",
      cell: ({ alert, labels }) => (
        <>
          <strong>{alert}</strong> <Labels of={labels} without={["alertname"]} />
        </>
      ),
      by: ({ alert }) => alert,
    },
    { title: "receiver", cell: ({ receiver }) => receiver, by: ({ receiver }) => receiver, small: false },
    { title: "since", cell: ({ since }) => <Ago at={since} />, by: ({ since }) => since, number: true, small: false },
    {
      title: "until",
      cell: ({ until }) => (until === null ? "–" : dateTime(until, utc)),
      by: ({ until }) => until,
      number: true,
      small: false,
    },
  ];
  return (
    <Panel
      title="Held back"
      note="by silences, inhibition, maintenance, hours, flapping, an incident that tells it already"
      side={
        <SegmentedControl
          size="xs"
          aria-label="when"
          data={[
            { value: "held", label: "now" },
            { value: "past", label: "before" },
          ]}
          value={state}
          onChange={setState}
        />
      }
    >
      <Shown of={held}>
        {(rows) =>
          rows.length ? (
            <Table
              label="held back"
              columns={columns}
              rows={rows}
              id={({ receiver, stage }, at) => `${at} ${stage} ${receiver}`}
            />
          ) : (
            <Nothing title="Nothing is held back">
              Every alert that fires is told to the receivers of its route.
            </Nothing>
          )
        }
      </Shown>
    </Panel>
  );
}
