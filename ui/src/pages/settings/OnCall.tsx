import { Button, Group } from "@mantine/core";
import { useState } from "react";
import { type OnCall as Now, type Schedule, useEndOverride, useOnCall, useSchedule } from "@/api/oncall";
import { Panel } from "@/components/Panel";
import { Fault, Nothing, Shown } from "@/components/states";
import { useTime } from "@/components/time";
import { colourAt } from "@/model/colours";
import { days, midnightAfter, pieces, whoIs } from "@/model/oncall";
import { dateTime } from "@/model/timerange";
import { StandIn } from "./StandIn";

const DAY = 86_400;
const SHOWN = 14 * DAY;

/** Who is on call, who comes next, the two weeks to come, and standing in for somebody. */
export function OnCall() {
  const oncall = useOnCall();
  return (
    <Shown of={oncall} rows={8}>
      {(found) =>
        found.schedules.length === 0 ? (
          <Nothing title="No schedules">
            Name an oncall.yml in aiprism.yml (respond.oncall): people, schedules, and who is paged when nobody answers.
          </Nothing>
        ) : (
          found.schedules.map((duty) => <One key={duty.name} duty={duty} people={found.people} />)
        )
      }
    </Shown>
  );
}

function One({ duty, people }: { duty: Now["schedules"][number]; people: Now["people"] }) {
  const { now, utc } = useTime();
  const start = Math.floor(now / 3600) * 3600;
  const schedule = useSchedule(duty.name, start, start + SHOWN);
  const [asking, setAsking] = useState(false);
  return (
    <Panel
      title={duty.name}
      note={duty.zone}
      side={
        <Group gap={4}>
          <Button
            size="compact-xs"
            variant="subtle"
            component="a"
            href={`/aiprism/v1/oncall/schedules/${encodeURIComponent(duty.name)}.ics`}
          >
            calendar
          </Button>
          <Button size="compact-xs" variant="subtle" aria-expanded={asking} onClick={() => setAsking(!asking)}>
            override
          </Button>
        </Group>
      }
    >
      <div style={{ marginBottom: 8 }}>
        <strong className={duty.people.length ? "" : "bad"}>{whoIs(duty.people)}</strong>{" "}
        <span className="quiet">
          {duty.why && `by ${duty.why}`}
          {duty.until !== null && `, until ${dateTime(duty.until, utc)}; then ${whoIs(duty.next ?? [])}`}
        </span>
      </div>
      {asking && <StandIn schedule={duty.name} people={people} done={() => setAsking(false)} />}
      <Shown of={schedule} rows={2}>
        {(found) => (
          <>
            <Strip of={found} people={people.map(({ id }) => id)} utc={utc} />
            <Overrides of={found} utc={utc} />
          </>
        )}
      </Shown>
    </Panel>
  );
}

/** Two weeks, day by day; each person has a colour, and a gap is one to be seen. */
function Strip({ of: schedule, people, utc }: { of: Schedule; people: readonly string[]; utc: boolean }) {
  const { start, end, name } = schedule;
  return (
    <div className="oncall" role="list" aria-label={`shifts of ${name}`}>
      {days(start, end, (after) => midnightAfter(after, utc)).map((at) => (
        <span key={at} className="day" style={{ left: `${((at - start) / (end - start)) * 100}%` }} aria-hidden>
          {dateTime(at, utc).slice(8, 10)}
        </span>
      ))}
      {pieces(schedule.shifts, start, end).map(({ left, width, shift }) => {
        const who = whoIs(shift.people);
        const text = `${who}, ${dateTime(shift.start, utc)} to ${dateTime(shift.end, utc)}, by ${shift.why || "nobody"}`;
        const first = shift.people[0];
        return (
          <span
            key={shift.start}
            role="listitem"
            title={text}
            aria-label={text}
            className={`piece cut ${first ? "" : "gap"}`}
            style={{
              left: `${left * 100}%`,
              width: `${width * 100}%`,
              borderTopColor: first ? colourAt(Math.max(0, people.indexOf(first.id))) : undefined,
            }}
          >
            {who}
          </span>
        );
      })}
    </div>
  );
}

function Overrides({ of: { overrides }, utc }: { of: Schedule; utc: boolean }) {
  const end = useEndOverride();
  const left = overrides.filter((each) => each.end > Date.now() / 1000); // the strip begins with the hour, and may show one that is over
  if (left.length === 0) return null;
  return (
    <ul aria-label="overrides">
      {left.map((each) => (
        <li key={each.id ?? each.start}>
          {`${whoIs(each.people)} from ${dateTime(each.start, utc)} to ${dateTime(each.end, utc)}`}{" "}
          <span className="quiet">
            {[each.reason, each.author && `by ${each.author}`, each.id === null && "of oncall.yml"]
              .filter(Boolean)
              .join(", ")}
          </span>
          {each.id !== null && (
            <Button
              size="compact-xs"
              variant="subtle"
              color="red"
              loading={end.isPending && end.variables === each.id}
              onClick={() => end.mutate(each.id!)}
            >
              end
            </Button>
          )}
        </li>
      ))}
      {end.isError && <Fault error={end.error} />}
    </ul>
  );
}
