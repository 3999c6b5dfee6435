/** Logs: searched by words and fields, seen in time, counted, grouped into patterns, and followed as they come in. */

import { Button, Chip, Group, Menu, SegmentedControl, Switch } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { exportAddress, type LogQuery, useLogFacets, useLogs, useTail } from "@/api/logs";
import { Panel } from "@/components/Panel";
import { Fault, Loading } from "@/components/states";
import { useTime, useUrl, withValues } from "@/components/time";
import { attributeNames, LEVELS, type LogRecord } from "@/model/logs";
import { withTerm } from "@/model/lucene";
import { format } from "@/model/units";
import { Facets } from "./Facets";
import { Histogram } from "./Histogram";
import { Lines } from "./Lines";
import "./logs.css";
import { Patterns } from "./Patterns";
import { Saved } from "./Saved";

const SearchBox = lazy(() => import("./SearchBox"));

const USUAL_FIELDS = "level,service";
const NONE: readonly string[] = [];

/** A list in the URL. */
function useList(name: string, usual = ""): [readonly string[], (list: readonly string[]) => void] {
  const [text, setText] = useUrl(name, usual);
  const list = useMemo(() => text.split(",").filter(Boolean), [text]);
  // None at all is not the same as not said: a lone comma says none.
  return [list, useCallback((next) => setText(next.join(",") || (usual ? "," : "")), [setText, usual])];
}

export default function Logs() {
  const { again } = useTime();
  const setParams = useSearchParams()[1];
  const [query] = useUrl("q");
  const [columns] = useList("cols");
  const [levels, setLevels] = useList("level");
  const [view, setView] = useUrl("view", "lines");
  const [live, setLive] = useUrl("live");
  const [draft, setDraft] = useState(query);
  const [seen, setSeen] = useState(NONE);
  useEffect(() => setDraft(query), [query]);
  const wanted = useMemo<LogQuery>(() => ({ query, levels }), [query, levels]);
  // All at once: the router takes two changes of one moment for one, the last.
  const ask = (text: string, more: Readonly<Record<string, string>> = {}) => {
    again();
    setParams((before) => withValues(before, { q: text.trim().replaceAll("\n", " "), open: "", ...more }));
  };
  return (
    <>
      <Panel
        title="Search"
        side={
          <>
            <Saved
              query={query}
              columns={columns}
              onPick={(search) => ask(search.query, search.columns.length ? { cols: search.columns.join(",") } : {})}
            />
            <Button size="compact-xs" onClick={() => ask(draft)}>
              search
            </Button>
          </>
        }
      >
        <Suspense fallback={<Loading rows={1} height={30} />}>
          <SearchBox value={draft} onChange={setDraft} onRun={(text) => ask(text)} label="search" names={seen} />
        </Suspense>
        <Group gap="md" pt={8}>
          <Chip.Group multiple value={[...levels]} onChange={setLevels}>
            <Group gap={4} role="group" aria-label="levels">
              {LEVELS.map((level) => (
                <Chip key={level} size="xs" value={level} variant="outline">
                  {level}
                </Chip>
              ))}
            </Group>
          </Chip.Group>
          <SegmentedControl
            size="xs"
            aria-label="shown as"
            data={["lines", "patterns"]}
            value={view}
            onChange={(next) => setView(next)}
          />
          <Switch
            size="xs"
            label="live"
            checked={live === "1"}
            onChange={(event) => setLive(event.currentTarget.checked ? "1" : "")}
          />
        </Group>
        <div style={{ paddingTop: 6 }}>
          <Histogram wanted={wanted} />
        </div>
      </Panel>
      {view === "patterns" ? (
        <Panel title="Patterns">
          <Patterns levels={levels} onPick={(text) => ask(text, { view: "" })} />
        </Panel>
      ) : (
        <Found wanted={wanted} live={live === "1"} onQuery={ask} onSeen={setSeen} />
      )}
    </>
  );
}

interface FoundProps {
  readonly wanted: LogQuery;
  readonly live: boolean;
  readonly onQuery: (query: string) => void;
  /** Tells which attributes the lines shown have. */
  readonly onSeen: (names: readonly string[]) => void;
}

function Found({ wanted, live, onQuery, onSeen }: FoundProps) {
  const [fields, setFields] = useList("facets", USUAL_FIELDS);
  const [columns, setColumns] = useList("cols");
  const [wrap, setWrap] = useUrl("wrap");
  const [open, setOpen] = useUrl("open");
  const [paused, setPaused] = useState(false);
  const { span } = useTime();
  const pages = useLogs(wanted, span, !live);
  const tail = useTail(wanted, live, paused);
  const stored = useMemo(() => pages.data?.pages.flatMap(({ logs }) => logs) ?? [], [pages.data]);
  const records = live ? tail.records : stored;
  // The first lines tell which fields there are; all of fifty thousand would not tell more.
  const first = records.slice(0, 200);
  const names = useMemo(() => attributeNames(first), [first.length, first[0]]);
  useEffect(() => onSeen(names), [names, onSeen]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = pages;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);

  return (
    <div className="log-found">
      <Panel title="Fields">
        <Facets
          wanted={wanted}
          fields={fields}
          names={["trace_id", "scope_name", ...names]}
          onQuery={onQuery}
          onFields={setFields}
        />
      </Panel>
      <Panel
        title={live ? "Lines as they come in" : "Lines"}
        note={<Count wanted={wanted} live={live} records={records} heard={tail.heard} />}
        side={
          <>
            {live && (
              <Button
                size="compact-xs"
                variant="light"
                leftSection={paused ? <IconPlayerPlay size={13} /> : <IconPlayerPause size={13} />}
                onClick={() => setPaused(!paused)}
              >
                {paused ? `go on (${tail.waiting} waiting)` : "pause"}
              </Button>
            )}
            <Switch
              size="xs"
              label="wrap"
              checked={wrap === "1"}
              onChange={(event) => setWrap(event.currentTarget.checked ? "1" : "")}
            />
            <Export wanted={wanted} />
          </>
        }
      >
        {live && tail.missing && <div className="warn">{tail.missing}</div>}
        {!live && pages.isError && <Fault error={pages.error} again={() => void pages.refetch()} />}
        {!live && pages.isPending ? (
          <Loading rows={10} />
        ) : (
          <Lines
            records={records}
            columns={columns}
            wrap={wrap === "1"}
            open={open}
            onOpen={setOpen}
            onTerm={(name, value, out) => onQuery(withTerm(wanted.query, name, value, out))}
            onColumn={(name) =>
              setColumns(columns.includes(name) ? columns.filter((each) => each !== name) : [...columns, name])
            }
            onEnd={live ? undefined : more}
            foot={
              live
                ? footOfTail(records.length)
                : hasNextPage
                  ? "more is fetched …"
                  : "that is all there is in this range of time"
            }
          />
        )}
      </Panel>
    </div>
  );
}

function footOfTail(shown: number): string {
  return shown === 0
    ? "waiting for the next line that matches"
    : "what came before is found by a search: switch live off";
}

function Count({
  wanted,
  live,
  records,
  heard,
}: {
  wanted: LogQuery;
  live: boolean;
  records: readonly LogRecord[];
  heard: number;
}) {
  const { span } = useTime();
  const fields = useList("facets", USUAL_FIELDS)[0];
  const all = useLogFacets(wanted, span, fields, !live).data?.records; // the same question as the facets': asked once
  if (live) return <>{format(heard, "short")} heard</>;
  return <>{all === undefined ? "" : `${format(records.length, "short")} of ${format(all, "short")}`}</>;
}

function Export({ wanted }: { wanted: LogQuery }) {
  const { span } = useTime();
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button size="compact-xs" variant="subtle">
          export
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {(["ndjson", "csv", "parquet"] as const).map((kind) => (
          <Menu.Item key={kind} component="a" href={exportAddress(wanted, span, kind)} download={`logs.${kind}`}>
            {kind === "ndjson" ? "NDJSON" : kind === "csv" ? "CSV" : "Parquet"}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
