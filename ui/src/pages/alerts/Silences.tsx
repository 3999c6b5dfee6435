import { Button, SegmentedControl } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { type Silence, useEndSilence, useSilences } from "@/api/silences";
import { Ago } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Fault, Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useTime, useUrl } from "@/components/time";
import { printMatchers } from "@/model/matchers";
import { dateTime } from "@/model/timerange";
import { NewSilence } from "./NewSilence";

/** Silences: which there are, a new one with a look at what it would mute, and an end to one. */
export function Silences() {
  const silences = useSilences();
  const end = useEndSilence();
  const { utc } = useTime();
  const [state, setState] = useUrl("state", "active");
  const [wanted, setWanted] = useUrl("new");
  const [done, setDone] = useState(false); // with the form: the focus goes back to where another is begun
  const close = () => {
    setDone(true);
    setWanted("");
  };
  const columns: Column<Silence>[] = [
    { title: "state", cell: ({ status }) => <Tag of={status.state} />, width: "80px" },
    {
      title: "mutes",
      cell: ({ matchers, comment }) => (
        <>
          <code>{printMatchers(matchers)}</code>
          <div className="quiet">{comment}</div>
        </>
      ),
    },
    { title: "by", cell: ({ createdBy }) => createdBy, by: ({ createdBy }) => createdBy, small: false },
    {
      title: "from",
      cell: ({ startsAt }) => dateTime(seconds(startsAt), utc),
      by: ({ startsAt }) => startsAt,
      number: true,
      small: false,
    },
    { title: "ends", cell: ({ endsAt }) => <Ago at={seconds(endsAt)} />, by: ({ endsAt }) => endsAt, number: true },
    {
      title: "",
      cell: ({ id, status, matchers }) => (
        <>
          <Button
            size="compact-xs"
            variant="subtle"
            className="hide-small"
            onClick={() => setWanted(printMatchers(matchers), true)}
          >
            recreate
          </Button>
          {status.state !== "expired" && (
            <Button
              size="compact-xs"
              variant="subtle"
              color="red"
              loading={end.isPending && end.variables === id}
              onClick={() =>
                end.mutate(id, {
                  onSuccess: () => notifications.show({ message: "Silence expired: what it muted notifies again." }),
                })
              }
            >
              expire
            </Button>
          )}
        </>
      ),
    },
  ];
  return (
    <>
      {wanted ? (
        <NewSilence key={wanted} matchers={wanted === "1" ? "" : wanted} done={close} />
      ) : (
        <div>
          <Button size="compact-sm" autoFocus={done} onClick={() => setWanted("1", true)}>
            new silence
          </Button>
        </div>
      )}
      <Panel
        title="Silences"
        side={
          <SegmentedControl
            size="xs"
            aria-label="state"
            data={["active", "pending", "expired"]}
            value={state}
            onChange={setState}
          />
        }
      >
        {end.isError && <Fault error={end.error} />}
        <Shown of={silences}>
          {(all) => {
            const rows = all.filter(({ status }) => status.state === state);
            if (rows.length === 0)
              return (
                <Nothing title={`No ${state} silence`}>
                  A silence mutes the alerts its matchers fit for a time; make one here, from an alert, or with amtool.
                </Nothing>
              );
            return <Table label="silences" columns={columns} rows={rows} id={({ id }) => id} />;
          }}
        </Shown>
      </Panel>
    </>
  );
}

function seconds(text: string): number {
  return Date.parse(text) / 1000;
}
