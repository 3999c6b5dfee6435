import { Button } from "@mantine/core";
import { type Integration, type Receiver, type Tried, useReceivers, useTryReceiver } from "@/api/receivers";
import { Ago } from "@/components/Ago";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault, Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { format } from "@/model/units";

/** Who is told and by what, whether that works, and trying it. */
export function Integrations() {
  const receivers = useReceivers();
  return (
    <Shown of={receivers} rows={8}>
      {({ receivers: all, warnings, others }) => (
        <>
          {warnings.map((text) => (
            <div key={text} className="warn">
              {text}
            </div>
          ))}
          {all.length === 0 && (
            <Nothing title="No receivers">Name an alertmanager.yml in aiprism.yml (respond.alertmanager).</Nothing>
          )}
          {all
            .filter(({ integrations }) => integrations.length > 0)
            .map((receiver) => (
              <One key={receiver.name} receiver={receiver} />
            ))}
          <Silent of={all.filter(({ integrations }) => integrations.length === 0)} />
          <Panel title="What else aiprism works with">
            <Table
              label="other integrations"
              columns={[
                {
                  title: "state",
                  cell: ({ configured }) => (
                    <Tag of={configured ? "configured" : "off"} kind={configured ? "good" : ""} />
                  ),
                  by: ({ configured }) => Number(configured),
                  width: "110px",
                },
                { title: "what", cell: ({ name }) => name, by: ({ name }) => name },
                { title: "setting", cell: ({ setting }) => <code>{setting}</code>, small: false },
              ]}
              rows={others}
              id={({ setting }) => setting}
            />
          </Panel>
        </>
      )}
    </Shown>
  );
}

function One({ receiver: { name, used, integrations } }: { receiver: Receiver }) {
  const [actor] = useActor();
  const attempt = useTryReceiver();
  const columns: Column<Integration>[] = [
    { title: "channel", cell: ({ channel }) => channel, width: "110px" },
    { title: "to", cell: ({ where }) => <code>{where || "(as configured)"}</code> },
    { title: "last", cell: ({ last }) => last && <Last of={last} /> },
    { title: "sent", cell: ({ sent }) => sent || "", number: true, small: false },
    {
      title: "failed",
      cell: ({ failed }) => failed > 0 && <span className="bad">{failed}</span>,
      number: true,
      small: false,
    },
    { title: "waiting", cell: ({ waiting }) => waiting || "", number: true, small: false },
  ];
  return (
    <Panel
      title={name}
      note={used ? "" : "no route leads here"}
      side={
        <Button
          size="compact-xs"
          variant="subtle"
          aria-label={`test ${name}`}
          loading={attempt.isPending}
          onClick={() => attempt.mutate({ name, by: actor })}
        >
          test
        </Button>
      }
    >
      <Table label={`integrations of ${name}`} columns={columns} rows={integrations} id={(_, at) => String(at)} />
      {attempt.isError && <Fault error={attempt.error} />}
      {attempt.data && <Outcome of={attempt.data} />}
    </Panel>
  );
}

/** Receivers that tell nobody. */
function Silent({ of: receivers }: { of: readonly Receiver[] }) {
  if (receivers.length === 0) return null;
  return (
    <Panel title="Receivers without integrations" note="what is routed there is told to nobody">
      <Table
        label="receivers without integrations"
        columns={[
          { title: "receiver", cell: ({ name }) => name, by: ({ name }) => name },
          { title: "", cell: ({ used }) => (used ? "" : <span className="quiet">no route leads there</span>) },
        ]}
        rows={receivers}
        id={({ name }) => name}
      />
    </Panel>
  );
}

function Last({ of: { event, state, error, at } }: { of: NonNullable<Integration["last"]> }) {
  return (
    <>
      <Tag of={state} />{" "}
      <span className="quiet">
        {event}, <Ago at={at} past />
      </span>
      {error && <div className="bad">{error}</div>}
    </>
  );
}

/** What came back of a test, integration by integration. */
function Outcome({ of: { tried } }: { of: Tried }) {
  return (
    <ul role="status" aria-label="outcome of the test">
      {tried.map(({ channel, integration, delivered, reason, seconds }) => (
        <li key={integration} className={delivered ? "good" : "bad"}>
          {`${channel}: ${delivered ? "the test was taken" : reason} (${format(seconds, "s")})`}
        </li>
      ))}
    </ul>
  );
}
