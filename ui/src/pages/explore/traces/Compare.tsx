import { Button, Group, Switch, TextInput } from "@mantine/core";
import { type FormEvent, useEffect, useMemo, useState } from "react";
import { Link } from "react-router";
import { type Found, useCompared, useTrace, useTraces } from "@/api/traces";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime, useUrl } from "@/components/time";
import { clockTime } from "@/model/timerange";
import { rootOf } from "@/model/trace";
import { type Change, type Compared, changed, largest } from "@/model/tracediff";
import { format } from "@/model/units";

const KINDS: Readonly<Record<Change, "bad" | "warn" | "good" | "info" | "">> = {
  failed: "bad",
  slower: "warn",
  added: "info",
  missing: "info",
  faster: "good",
  same: "",
};

/** Two traces beside each other, by who called what; without the second one, those it may be compared with. */
export function Compare() {
  const [a, setA] = useUrl("a");
  const [b, setB] = useUrl("b");
  const goto = useGoto();
  const [draft, setDraft] = useState({ a, b });
  useEffect(() => setDraft({ a, b }), [a, b]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setA(draft.a.trim().toLowerCase(), true);
    setB(draft.b.trim().toLowerCase());
  };
  const side = (name: "a" | "b", label: string) => (
    <TextInput
      size="xs"
      className="mono"
      aria-label={label}
      placeholder={`id of the ${label}`}
      value={draft[name]}
      onChange={(event) => {
        const text = event.currentTarget.value;
        setDraft((before) => ({ ...before, [name]: text }));
      }}
      style={{ flex: "1 1 260px" }}
    />
  );
  return (
    <>
      <Panel
        title="Compare two traces"
        note="what the second did that the first did not"
        side={
          <span className="trace-leads">
            {a && <Link to={goto(`/explore/traces/${a}`)}>first</Link>}
            {b && <Link to={goto(`/explore/traces/${b}`)}>second</Link>}
            {a && b && <Link to={goto("/explore/traces/compare", { a: b, b: a })}>swap</Link>}
          </span>
        }
      >
        <form onSubmit={submit}>
          <Group gap={8}>
            {side("a", "first trace")}
            {side("b", "second trace")}
            <Button size="compact-sm" type="submit">
              compare
            </Button>
          </Group>
        </form>
      </Panel>
      {a && b ? (
        <Differences a={a} b={b} />
      ) : a || b ? (
        <Candidates of={a || b} onPick={(id) => (a ? setB(id, true) : setA(id, true))} />
      ) : (
        <Nothing title="Two ids are needed">
          Mark two traces in the <Link to={goto("/explore/traces")}>list</Link>, or choose “compare” on the page of one.
        </Nothing>
      )}
    </>
  );
}

function Differences({ a, b }: { a: string; b: string }) {
  const compared = useCompared(a, b);
  const [all, setAll] = useUrl("all");
  return (
    <Panel
      title="Differences"
      side={
        <Switch
          size="xs"
          label="also what is the same"
          checked={all === "1"}
          onChange={(event) => setAll(event.currentTarget.checked ? "1" : "")}
        />
      }
    >
      <Shown of={compared} rows={8}>
        {(rows) => <Rows rows={all ? rows : changed(rows)} of={rows.length} />}
      </Shown>
    </Panel>
  );
}

function Rows({ rows, of }: { rows: readonly Compared[]; of: number }) {
  const most = useMemo(() => largest(rows), [rows]);
  if (rows.length === 0)
    return (
      <Nothing title="They did the same">
        {of} paths of calls took as long in both, by a fifth and a millisecond.
      </Nothing>
    );
  const columns: Column<Compared>[] = [
    {
      title: "call",
      cell: ({ path }) => {
        const [service, operation] = path.at(-1)!;
        return (
          <span
            style={{ paddingLeft: Math.min(path.length - 1, 14) * 12 }}
            title={path.map((each) => each.join(" ")).join("\n→ ")}
          >
            {operation} <span className="faint">{service}</span>
          </span>
        );
      },
    },
    { title: "is", cell: ({ change }) => <Tag of={change} kind={KINDS[change]} />, by: ({ change }) => change },
    {
      title: "itself longer by",
      cell: ({ slower_ns }) => <Longer ns={slower_ns} most={most} />,
      by: ({ slower_ns }) => slower_ns,
      number: true,
    },
    ...sided("first", (row) => row.first),
    ...sided("second", (row) => row.second),
  ];
  return (
    <Table
      label="differences"
      columns={columns}
      rows={rows}
      id={({ path }, at) => `${at} ${path.length}`}
      height={640}
    />
  );
}

function sided(name: string, of: (row: Compared) => Compared["first"]): readonly Column<Compared>[] {
  return [
    {
      title: `${name} took`,
      cell: (row) => (of(row).spans ? format(of(row).duration_ns, "ns") : <span className="faint">–</span>),
      by: (row) => of(row).duration_ns,
      number: true,
      small: false,
    },
    {
      title: `spans in ${name}`,
      cell: (row) => (
        <>
          {of(row).spans}
          {of(row).errors > 0 && <span className="bad"> ✗{of(row).errors}</span>}
        </>
      ),
      by: (row) => of(row).spans,
      number: true,
      small: false,
    },
  ];
}

function Longer({ ns, most }: { ns: number; most: number }) {
  if (ns === 0) return <span className="faint">0</span>;
  return (
    <span className={`trace-length ${ns > 0 ? "longer" : "shorter"}`}>
      <i style={{ width: `${(100 * Math.abs(ns)) / most}%` }} />
      <span>
        {ns > 0 ? "+" : "−"}
        {format(Math.abs(ns), "ns")}
      </span>
    </span>
  );
}

/** Traces that began with the same operation, in the range of the page. */
function Candidates({ of: id, onPick }: { of: string; onPick: (id: string) => void }) {
  const { span, utc } = useTime();
  const trace = useTrace(id);
  const first = trace.data && rootOf(trace.data);
  const asked = {
    q: "",
    service: first?.service ?? "",
    op: first?.name ?? "",
    min: "",
    max: "",
    errors: false,
  };
  const found = useTraces(asked, span, "time", first !== undefined);
  const rows = (found.data?.pages ?? []).flatMap(({ traces }) => traces).filter(({ trace_id }) => trace_id !== id);
  const columns: Column<Found>[] = [
    {
      title: "begun",
      cell: ({ start_ns, trace_id }) => (
        <button type="button" className="link" onClick={() => onPick(trace_id)}>
          {clockTime(start_ns / 1e9, utc)} <code>{trace_id.slice(0, 12)}</code>
        </button>
      ),
      by: ({ start_ns }) => start_ns,
    },
    {
      title: "duration",
      cell: ({ duration_ns }) => format(duration_ns, "ns"),
      by: (each) => each.duration_ns,
      number: true,
    },
    { title: "spans", cell: ({ spans }) => spans, by: (each) => each.spans, number: true },
    {
      title: "errors",
      cell: ({ errors }) => <span className={errors ? "bad" : "faint"}>{errors}</span>,
      by: (each) => each.errors,
      number: true,
    },
  ];
  return (
    <Panel title="Compare it with" note={first ? `traces of ${first.service} ${first.name} in this range of time` : ""}>
      <Shown of={trace}>
        {() =>
          rows.length ? (
            <Table label="traces to compare with" columns={columns} rows={rows} id={(each) => each.trace_id} />
          ) : (
            <Nothing title="No other one in this range of time">Choose a longer range, or paste an id above.</Nothing>
          )
        }
      </Shown>
    </Panel>
  );
}
