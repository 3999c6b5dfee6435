import { Button, Group, Spoiler } from "@mantine/core";
import { lazy, Suspense } from "react";
import { Link } from "react-router";
import { type Incident, useIncident, useSimilar } from "@/api/incidents";
import { Ago, useClock } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Loading, Nothing, Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime } from "@/components/time";
import { useTitle } from "@/components/title";
import { holder, upkeep } from "@/model/incident";
import { dateTime, formatDuration, roughly } from "@/model/timerange";
import { format } from "@/model/units";
import { Acts } from "./Acts";
import { Alerts } from "./Alerts";
import { Elsewhere } from "./Elsewhere";
import { Evidence } from "./Evidence";
import { Found } from "./Found";
import { Pins } from "./Pins";
import { Runs, Startable } from "./Runs";
import { Timeline } from "./Timeline";
import { Updates } from "./Updates";
import { Work } from "./Work";

const Around = lazy(() => import("./Around")); // with what lays out the map

/** What an incident's durations say. */
const PAST: Readonly<Record<string, string>> = {
  detect: "detected in",
  notify: "notified in",
  acknowledge: "acknowledged in",
  respond: "responded in",
  remediate: "remediated in",
  resolve: "resolved in",
};

/** One incident: what it is, what was found, what was done, and what to do with it. */
export function One({ id }: { id: string }) {
  const incident = useIncident(id);
  return (
    <Shown of={incident} rows={14}>
      {(one) => (
        <>
          <Head incident={one} />
          <Acts incident={one} />
          <Described text={one.description} />
          {/* What acts, or waits for a word before it does, is not to be looked for below. */}
          {one.runs.length > 0 && <Runs incident={one} />}
          <div className="grid2">
            <div className="stack">
              <Found incident={one} />
              <Timeline incident={one} />
              <Alerts incident={one} />
              <Similar id={id} />
            </div>
            <div className="stack">
              <Evidence incident={one} />
              <Suspense fallback={<Loading rows={4} />}>
                <Around incident={one} />
              </Suspense>
              {/* At its one place always: whoever types there goes on when a first run begins. */}
              <Startable incident={one} />
              <Work incident={one} />
              <Updates id={id} />
              <Pins incident={one} />
              <Told incident={one} />
            </div>
          </div>
        </>
      )}
    </Shown>
  );
}

function Head({ incident }: { incident: Incident }) {
  const goto = useGoto();
  const { utc } = useTime();
  const { created_at, durations, deadlines } = incident;
  useTitle(`${incident.priority} ${incident.title}`);
  const due = Object.entries(deadlines).filter(([, at]) => at !== null);
  return (
    <div>
      <Group gap={10} align="baseline">
        <Tag of={incident.priority} />
        <strong style={{ fontSize: 18 }}>{incident.title}</strong>
        <Tag of={incident.status} />
        <Holder incident={incident} />
        <Group gap={4} ml="auto">
          {incident.channel && <Elsewhere channel={incident.channel} />}
          <Button size="compact-xs" variant="default" component={Link} to={goto(`/incidents/${incident.id}/room`)}>
            war room
          </Button>
          <Button
            size="compact-xs"
            variant="default"
            component={Link}
            to={goto(`/incidents/${incident.id}/postmortem`)}
          >
            postmortem
          </Button>
        </Group>
      </Group>
      {incident.merged_into && (
        <div className="warn">
          It goes on in <Link to={goto(`/incidents/${incident.merged_into}`)}>{incident.merged_into}</Link>.
        </div>
      )}
      <Group gap="2px 16px" className="quiet">
        <span>{incident.id}</span>
        <span>
          opened <b>{dateTime(created_at, utc)}</b> (<Ago at={created_at} />)
        </span>
        <span>
          {incident.services.map((service, at) => (
            <span key={service}>
              {at > 0 && ", "}
              <Link to={goto(`/services/${encodeURIComponent(service)}`)}>{service}</Link>
            </span>
          ))}
        </span>
        <Upkeep alerts={incident.alerts} />
        {Object.entries(durations).map(([name, seconds]) => (
          <span key={name}>
            {PAST[name] ?? name} <b>{formatDuration(roughly(seconds))}</b>
          </span>
        ))}
        {due.map(([name, at]) => (
          <Due key={name} name={name} at={at!} />
        ))}
      </Group>
    </div>
  );
}

const SOME_LINES = 105; // pixels: five

/** What is known of it, below what there is to do: rules that have much to say would push that out of sight. */
function Described({ text }: { text: string }) {
  if (!text.trim()) return null;
  return (
    <Spoiler maxHeight={SOME_LINES} showLabel="all of it" hideLabel="less of it">
      <div style={{ maxWidth: "90ch", whiteSpace: "pre-line", overflowWrap: "anywhere" }}>{text}</div>
    </Spoiler>
  );
}

/** The first thing whoever was woken wants to know: does somebody have it? */
function Holder({ incident }: { incident: Incident }) {
  const who = holder(incident);
  if (who) return <span>{who} takes care</span>;
  return incident.status === "resolved" ? null : <span className="warn">nobody has it</span>;
}

function Upkeep({ alerts }: { alerts: Incident["alerts"] }) {
  const { owners, teams, runbooks } = upkeep(alerts);
  return (
    <>
      {owners.length > 0 && (
        <span>
          owner <b>{owners.join(", ")}</b>
        </span>
      )}
      {teams.length > 0 && (
        <span>
          team <b>{teams.join(", ")}</b>
        </span>
      )}
      {runbooks.map((address) => (
        <a key={address} href={address} rel="noreferrer" title={address}>
          {runbooks.length > 1 ? `runbook ${address.split("/").findLast(Boolean)}` : "runbook"}
        </a>
      ))}
    </>
  );
}

function Due({ name, at }: { name: string; at: number }) {
  const missed = useClock((now) => at < now);
  return (
    <span className={missed ? "bad" : ""}>
      {name} due{" "}
      <b>
        <Ago at={at} />
      </b>
    </span>
  );
}

function Told({ incident }: { incident: Incident }) {
  const { utc } = useTime();
  return (
    <Panel title="Who was told">
      {incident.notifications.length === 0 ? (
        <div className="empty">Nobody: no receiver of alertmanager.yml is routed to, or it is held back.</div>
      ) : (
        <Table
          label="notifications"
          rows={incident.notifications}
          id={({ id }) => id}
          many={40}
          height={260}
          columns={[
            { title: "state", cell: ({ state }) => <Tag of={state} />, width: "70px" },
            {
              title: "receiver",
              cell: ({ receiver, channel, error }) => (
                <>
                  {receiver} <span className="quiet">by {channel}</span> {error && <div className="bad">{error}</div>}
                </>
              ),
            },
            { title: "of", cell: ({ event }) => event.split("#")[0], small: false },
            { title: "at", cell: ({ sent_at }) => (sent_at ? dateTime(sent_at, utc).slice(11) : "–"), number: true },
          ]}
        />
      )}
    </Panel>
  );
}

function Similar({ id }: { id: string }) {
  const similar = useSimilar(id);
  const goto = useGoto();
  return (
    <Panel title="Incidents like it">
      <Shown of={similar} rows={2}>
        {(found) =>
          found.length ? (
            <Table
              label="similar incidents"
              rows={found}
              id={({ id: other }) => other}
              columns={[
                {
                  title: "incident",
                  cell: ({ id: other, title, reasons }) => (
                    <>
                      <Link to={goto(`/incidents/${other}`)}>{title || other}</Link>
                      <div className="quiet">{reasons.join("; ")}</div>
                    </>
                  ),
                },
                { title: "alike", cell: ({ score }) => format(score, "percentunit"), number: true },
              ]}
            />
          ) : (
            <Nothing title="None">No incident of before resembles it.</Nothing>
          )
        }
      </Shown>
    </Panel>
  );
}
