import { TextInput } from "@mantine/core";
import { useOnCall } from "@/api/oncall";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { formatDuration } from "@/model/timerange";

/** Who acts in this browser, and the people on-call schedules know. */
export function People() {
  const [actor, setActor] = useActor();
  const oncall = useOnCall();
  const known = oncall.data?.people ?? [];
  const me = known.find(({ id, name }) => actor !== "" && (id === actor || name === actor));
  return (
    <>
      <Panel title="You" note="stored in this browser">
        <TextInput
          size="xs"
          maw={280}
          label="your name"
          value={actor}
          list="known-people"
          onChange={(event) => setActor(event.currentTarget.value)}
        />
        <datalist id="known-people">
          {known.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </datalist>
        <div className="quiet" style={{ marginTop: 8 }}>
          {me && `You are ${me.name} of oncall.yml. `}
          Your name stands with what you acknowledge, approve, silence and say. Nobody signs in yet: whoever reaches
          this server may do what its pages offer, under any name. Keep it where only those reach it who may; names are
          for the timeline, not for access.
        </div>
      </Panel>
      <Panel title="People" note="of oncall.yml">
        <Shown of={oncall}>
          {({ people }) =>
            people.length === 0 ? (
              <Nothing title="Nobody is known">
                Name people in an oncall.yml (respond.oncall), with how they are reached.
              </Nothing>
            ) : (
              <Table
                label="people"
                columns={[
                  { title: "name", cell: ({ name }) => name, by: ({ name }) => name },
                  { title: "known as", cell: ({ id }) => <code>{id}</code>, by: ({ id }) => id },
                  { title: "lives in", cell: ({ zone }) => zone, by: ({ zone }) => zone, small: false },
                  {
                    title: "reached by",
                    cell: ({ receivers }) =>
                      receivers
                        .map(({ receiver, after }) => (after ? `${receiver} after ${formatDuration(after)}` : receiver))
                        .join(", "),
                  },
                ]}
                rows={people}
                id={({ id }) => id}
              />
            )
          }
        </Shown>
      </Panel>
    </>
  );
}
