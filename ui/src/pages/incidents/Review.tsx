/** The week's figures beside those of the week before, by tier and service, and the rules that were only noise. */

import { Button, Group } from "@mantine/core";
import { Link } from "react-router";
import { useReview, useReviews } from "@/api/reviews";
import { Spark } from "@/charts/Spark";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { useGoto, useTime, useUrl } from "@/components/time";
import {
  course,
  FIGURES,
  type Figures,
  missed,
  type NoisyRule,
  type Review as Told,
  toldOf,
  verdict,
  WEEK,
} from "@/model/review";
import { dateTime } from "@/model/timerange";

const WEEKS = 8;
const MINUTE = 60;

export default function Review() {
  const { now, utc } = useTime();
  const [until, setUntil] = useUrl("until");
  const latest = Math.ceil(now / MINUTE) * MINUTE; // so that what was opened right now is of it
  const end = Math.min(latest, Number(until) || latest);
  const review = useReview(end);
  const day = (at: number) => dateTime(at, utc).slice(0, 10);
  return (
    <>
      <Group gap={8}>
        <strong style={{ fontSize: 18 }}>
          {day(end - WEEK)} to {day(end)}
        </strong>
        <Button size="compact-xs" variant="default" onClick={() => setUntil(String(end - WEEK), true)}>
          the week before
        </Button>
        {end < latest && (
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => setUntil(end + WEEK < latest ? String(end + WEEK) : "", true)}
          >
            the week after
          </Button>
        )}
        <a href={`/aiprism/v1/reports/weekly?form=md&end=${end}`} download="week.md" style={{ marginLeft: "auto" }}>
          Markdown
        </a>
      </Group>
      <Shown of={review} rows={10}>
        {(told) => <Week told={told} end={end} />}
      </Shown>
    </>
  );
}

function Week({ told, end }: { told: Told; end: number }) {
  return (
    <>
      <Overview told={told} end={end} />
      <Deadlines told={told} />
      <div className="grid2">
        <Groups title="By tier" of={told.week.by_tier} />
        <Groups title="By service" of={told.week.by_service} leads />
      </div>
      <Noise rules={told.week.noisy_rules} unknown={Object.values(told.unknown)} />
      <details>
        <summary className="quiet">what the figures mean</summary>
        <ul>
          {Object.entries(told.definitions).map(([name, text]) => (
            <li key={name}>
              <b>{name.replaceAll("_", " ")}</b>: {text}
            </li>
          ))}
        </ul>
      </details>
    </>
  );
}

/** Every figure with that of the week before, and its course over weeks. */
function Overview({ told: { week, week_before, definitions }, end }: { told: Told; end: number }) {
  const reviews = useReviews(end, WEEKS);
  return (
    <div
      className="figures"
      role="group"
      aria-label="figures of the week"
      style={{ gridTemplateColumns: "repeat(auto-fit, minmax(min(190px, 46%), 1fr))" }} // nine: five and four; on a telephone two
    >
      {FIGURES.map((figure) => (
        <div
          key={figure.key}
          className={`figure ${verdict(figure, week.all, week_before.all)}`}
          title={definitions[figure.key]}
        >
          <b>{toldOf(figure, week.all)}</b>
          <span>{figure.title}</span>
          <div className="faint" style={{ fontSize: 12 }}>
            {toldOf(figure, week_before.all)} before
          </div>
          {reviews.length > 0 && (
            <Spark values={course(figure, reviews)} label={`${figure.title} over ${WEEKS} weeks`} width={104} />
          )}
        </div>
      ))}
    </div>
  );
}

const DEADLINES: Readonly<Record<string, string>> = {
  acknowledge: "to acknowledge",
  respond: "to begin to work",
  resolve: "to resolve",
};

function Deadlines({ told: { week, week_before } }: { told: Told }) {
  const [now, before] = [week.all.missed_deadlines, week_before.all.missed_deadlines];
  if (week.all.incidents + week_before.all.incidents === 0)
    return (
      <Nothing title="No incident in two weeks">
        Figures are counted of incidents, which alerts of tier P0 and P1 open; see the week before.
      </Nothing>
    );
  return (
    <Panel title="Missed deadlines" note="this week, and the week before">
      <Table
        label="missed deadlines"
        rows={Object.keys(DEADLINES)}
        id={(name) => name}
        columns={[
          { title: "deadline", cell: (name) => DEADLINES[name] },
          {
            title: "missed",
            cell: (name) => <span className={now[name] ? "bad" : ""}>{now[name] ?? 0}</span>,
            number: true,
          },
          { title: "before", cell: (name) => before[name] ?? 0, number: true },
        ]}
      />
    </Panel>
  );
}

interface Row {
  readonly name: string;
  readonly figures: Figures;
}

const SHOWN = ["incidents", "detect", "acknowledge", "restore", "self_healed"];
const SHORT: Readonly<Record<string, string>> = {
  incidents: "incidents",
  detect: "MTTD",
  acknowledge: "MTTA",
  restore: "MTTR",
  self_healed: "self-healed",
};

function Groups({
  title,
  of,
  leads = false,
}: {
  title: string;
  of: Readonly<Record<string, Figures>>;
  leads?: boolean;
}) {
  const goto = useGoto();
  const rows: readonly Row[] = Object.entries(of).map(([name, figures]) => ({ name, figures }));
  if (rows.length === 0)
    return (
      <Panel title={title}>
        <Nothing title="No incident">There was none in this week.</Nothing>
      </Panel>
    );
  const columns: Column<Row>[] = [
    {
      title: title.split(" ")[1]!,
      cell: ({ name }) => (leads ? <Link to={goto(`/services/${encodeURIComponent(name)}`)}>{name}</Link> : name),
      by: ({ name }) => name,
    },
    ...FIGURES.filter(({ key }) => SHOWN.includes(key)).map((figure) => ({
      title: SHORT[figure.key]!,
      cell: ({ figures }: Row) => toldOf(figure, figures),
      by: ({ figures }: Row) => figure.of(figures),
      number: true,
      small: !["acknowledge", "self_healed"].includes(figure.key),
    })),
    {
      title: "missed",
      cell: ({ figures }) => missed(figures) ?? "–",
      by: ({ figures }) => missed(figures),
      number: true,
      small: false,
    },
  ];
  return (
    <Panel title={title}>
      <Table label={title.toLowerCase()} rows={rows} id={({ name }) => name} columns={columns} many={60} height={400} />
    </Panel>
  );
}

function Noise({ rules, unknown }: { rules: readonly NoisyRule[]; unknown: readonly string[] }) {
  const goto = useGoto();
  return (
    <Panel title="Noisy rules" note="that fired for nothing, or flapped">
      {rules.length === 0 ? (
        <Nothing title="None">
          Every firing was of an incident that somebody, or a runbook, did something about.
        </Nothing>
      ) : (
        <Table
          label="noisy rules"
          rows={rules}
          id={({ alert }) => alert}
          columns={[
            {
              title: "rule",
              cell: ({ alert }) => <Link to={goto("/alerts/rules", { rule: alert })}>{alert}</Link>,
              by: ({ alert }) => alert,
            },
            { title: "firings", cell: ({ firings }) => firings, by: ({ firings }) => firings, number: true },
            { title: "in no incident", cell: (rule) => rule.in_no_incident, number: true, small: false },
            { title: "nobody did anything", cell: (rule) => rule.nobody_did_anything, number: true },
            { title: "flapped", cell: ({ flapped }) => flapped, number: true, small: false },
          ]}
        />
      )}
      {unknown.map((text) => (
        <div key={text} className="quiet">
          Not known: {text}.
        </div>
      ))}
    </Panel>
  );
}
