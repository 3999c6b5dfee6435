import { Button, Group } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { type Ref, useEffect, useMemo, useRef, useState } from "react";
import { useParams, useSearchParams } from "react-router";
import { type DashboardDocument, useDashboard } from "@/api/dashboards";
import { address } from "@/api/http";
import { Boundary } from "@/components/Boundary";
import { Fault, Loading, Nothing, Shown } from "@/components/states";
import { InUtc, useTime, useUrl, withValues } from "@/components/time";
import { useTitle } from "@/components/title";
import { switched } from "@/model/dashboard/annotations";
import { interpolate, type Scope } from "@/model/dashboard/interpolate";
import { gridStyle, sections } from "@/model/dashboard/layout";
import { ownTime } from "@/model/dashboard/owntime";
import { readDashboard } from "@/model/dashboard/read";
import type { Dashboard, Panel } from "@/model/dashboard/types";
import { stepFor } from "@/model/timerange";
import { SCRAPE } from "./data";
import { Editor } from "./Editor";
import { Links } from "./Links";
import { marksFor, useMarks } from "./marks";
import { PanelBox } from "./PanelBox";
import { VIEWS } from "./panels";
import { Switches } from "./Switches";
import { useVariables, VariableBar } from "./Variables";
import { Versions } from "./Versions";

/** One dashboard: its variables, its rows, its panels. */
export function View() {
  const { uid = "" } = useParams();
  const [version] = useUrl("version");
  const found = useDashboard(uid, version ? Number(version) : undefined);
  return <Shown of={found}>{(document) => <Read key={uid} document={document} />}</Shown>;
}

function Read({ document }: { document: DashboardDocument }) {
  const read = useMemo(() => {
    try {
      return readDashboard(document.dashboard);
    } catch (error) {
      return error as Error;
    }
  }, [document]);
  return read instanceof Error ? <Fault error={read} /> : <Drawn dashboard={read} document={document} />;
}

interface DrawnProps {
  readonly dashboard: Dashboard;
  readonly document: DashboardDocument;
}

function Drawn(props: DrawnProps) {
  const { panels } = props.dashboard;
  useEffect(() => {
    // Beside what they ask for, not after it. What cannot be loaded says so in its place.
    for (const type of new Set(panels.map((panel) => panel.type))) VIEWS[type]?.view.ready().catch(() => undefined);
  }, [panels]);
  const settled = useOwnTime(props.dashboard);
  if (!settled) return <Loading rows={8} />;
  if (props.dashboard.timezone.toLowerCase() !== "utc") return <Board {...props} />;
  return (
    <InUtc>
      <Board {...props} />
    </InUtc>
  );
}

function Board({ dashboard, document }: DrawnProps) {
  const { span, range } = useTime();
  useTitle(dashboard.title);
  const [mode, setMode] = useUrl("do");
  const edit = useRef<HTMLButtonElement>(null);
  const close = () => {
    setMode("");
    edit.current?.focus();
  };
  const variables = useVariables(dashboard.variables);
  const scope = useMemo<Scope>(
    () => ({
      chosen: variables.chosen,
      span,
      range,
      step: stepFor(span, 300),
      scrape: SCRAPE,
      title: dashboard.title,
    }),
    [variables.chosen, span, range, dashboard],
  );
  const [params] = useSearchParams();
  const annotations = useMemo(() => switched(dashboard.annotations, params), [dashboard.annotations, params]);
  const marks = useMarks(annotations, scope);
  return (
    <>
      <Group gap={8} align="end">
        <h2 style={{ margin: 0, fontSize: 15 }}>{dashboard.title}</h2>
        {dashboard.timezone.toLowerCase() === "utc" && <span className="quiet">times in UTC</span>}
        {document.version > 0 && <span className="quiet">version {document.version}</span>}
        <VariableBar variables={variables} />
        <Switches annotations={dashboard.annotations} />
        <Links dashboard={dashboard} scope={scope} />
        <Group gap={4} ml="auto">
          <Doing ref={edit} of="edit" mode={mode} set={setMode} />
          <Doing of="versions" mode={mode} set={setMode} />
          <Button
            size="compact-xs"
            variant="default"
            component="a"
            href={address("/aiprism/v1/dashboards/{uid}/export", { uid: document.uid }, { version: document.version })}
            download={`${document.uid}.json`}
          >
            export
          </Button>
        </Group>
      </Group>
      {mode === "edit" && <Editor document={document} close={close} />}
      {mode === "versions" && <Versions document={document} />}
      {variables.faults.map((text) => (
        <div key={text} className="warn">
          {text}
        </div>
      ))}
      {dashboard.panels.length === 0 && <Nothing title="This dashboard has no panels">Add some with “edit”.</Nothing>}
      {variables.ready && <Grid dashboard={dashboard} scope={scope} marks={marks} adhoc={variables.adhoc} />}
    </>
  );
}

interface DoingProps {
  readonly ref?: Ref<HTMLButtonElement>;
  readonly of: string;
  readonly mode: string;
  readonly set: (mode: string) => void;
}

function Doing({ ref, of, mode, set }: DoingProps) {
  return (
    <Button
      ref={ref}
      size="compact-xs"
      variant={mode === of ? "filled" : "default"}
      aria-pressed={mode === of}
      onClick={() => set(mode === of ? "" : of)}
    >
      {of}
    </Button>
  );
}

/** A dashboard's own range and refresh hold where the address says nothing; nothing is asked before it says them. */
function useOwnTime(dashboard: Dashboard): boolean {
  const [params, setParams] = useSearchParams();
  const [settled, settle] = useState(false);
  const own = ownTime(dashboard, params);
  const lacking = !settled && Object.keys(own).length > 0;
  useEffect(() => {
    if (lacking) setParams((before) => withValues(before, ownTime(dashboard, before)), { replace: true });
    else settle(true); // who switches the refresh off later wants it off
  }, [lacking, dashboard, setParams]);
  return !lacking;
}

interface GridProps {
  readonly dashboard: Dashboard;
  readonly scope: Scope;
  readonly marks: ReturnType<typeof useMarks>;
  readonly adhoc: string;
}

function Grid({ dashboard, scope, marks, adhoc }: GridProps) {
  const [open, setOpen] = useState<Readonly<Record<number, boolean>>>({});
  const [viewed, setViewed] = useUrl("panel");
  const parts = useMemo(() => sections(dashboard.panels, scope.chosen, open), [dashboard.panels, scope.chosen, open]);
  const alone = viewed ? parts.flatMap(({ panels }) => panels).find(({ id }) => String(id) === viewed) : undefined;
  const box = (panel: Panel, height?: number) => (
    <Boundary key={panel.id} of={scope}>
      <PanelBox
        panel={panel}
        scope={scope}
        marks={marksFor(marks, panel.id)}
        adhoc={adhoc}
        height={height}
        together={dashboard.together ? dashboard.uid || dashboard.title : undefined}
        onView={() => setViewed(viewed ? "" : String(panel.id), true)}
        alone={Boolean(viewed)}
      />
    </Boundary>
  );
  if (alone) return box(alone, 560);
  return parts.map(({ row, panels }, at) => (
    <section
      key={row ? `row ${row.id}` : `part ${at}`}
      style={{ display: "grid", gap: 8 }}
      aria-label={row?.title || undefined}
    >
      {row && (
        <button
          type="button"
          className="dashrow"
          aria-expanded={!row.shut}
          onClick={() => setOpen({ ...open, [row.id]: row.shut })}
        >
          {row.shut ? <IconChevronRight size={14} /> : <IconChevronDown size={14} />}
          {interpolate(row.title, { ...scope, chosen: { ...scope.chosen, ...row.scoped } }, "text")}
          {row.shut && row.inside.length > 0 && <span className="quiet"> ({row.inside.length} panels)</span>}
        </button>
      )}
      {panels.length > 0 && (
        <div className="dashgrid">
          {panels.map((panel) => (
            <div key={panel.id} style={gridStyle(panel.place)}>
              {box(panel)}
            </div>
          ))}
        </div>
      )}
    </section>
  ));
}
