import { Button, Group } from "@mantine/core";
import { type Ref, Suspense, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { type DashboardDocument, type DashboardSummary, useDashboard } from "@/api/dashboards";
import { address } from "@/api/http";
import { lazily } from "@/components/lazily";
import { useAskedToLeave } from "@/components/leaving";
import { Fault, Loading, Nothing, Shown } from "@/components/states";
import { InUtc, useGoto, useTime, useUrl, withValues } from "@/components/time";
import { useTitle } from "@/components/title";
import { switched } from "@/model/dashboard/annotations";
import { BLANK, editable } from "@/model/dashboard/edit";
import type { Scope } from "@/model/dashboard/interpolate";
import { ownTime } from "@/model/dashboard/owntime";
import { readDashboard } from "@/model/dashboard/read";
import type { Dashboard, Json } from "@/model/dashboard/types";
import { stepFor } from "@/model/timerange";
import { SCRAPE } from "./data";
import { useEditing, useMode } from "./draft";
import type { EditProps } from "./edit";
import { Grid } from "./Grid";
import { Links } from "./Links";
import { useMarks } from "./marks";
import { VIEWS } from "./panels";
import { Switches } from "./Switches";
import { useVariables, VariableBar } from "./Variables";
import { Versions } from "./Versions";

const Edit = lazily<EditProps>(() => import("./edit"));

/** One dashboard: its variables, its rows, its panels. */
export function View() {
  const { uid = "" } = useParams();
  const [version] = useUrl("version");
  const found = useDashboard(uid, version ? Number(version) : undefined);
  return <Shown of={found}>{(document) => <Read key={uid} document={document} />}</Shown>;
}

const FRESH: DashboardDocument = {
  uid: "",
  title: "",
  description: "",
  tags: [],
  folder: "",
  origin: "saved",
  version: 0,
  at: 0,
  by: "",
  message: "",
  dashboard: BLANK,
  file: null,
};

/** A dashboard that is begun: it has an address of its own once it is saved. */
export function Fresh() {
  const [made, setMade] = useState("");
  const navigate = useNavigate();
  const goto = useGoto();
  // Once nothing is unsaved any more, so that nobody is asked whether to leave.
  useEffect(() => {
    if (made) navigate(goto(`/dashboards/${made}`), { replace: true });
  }, [made, navigate, goto]);
  return <Read document={FRESH} saved={({ uid }) => setMade(uid)} />;
}

interface ReadProps {
  readonly document: DashboardDocument;
  readonly saved?: (as: DashboardSummary) => void;
}

function Read({ document, saved }: ReadProps) {
  const json = useMemo(() => {
    try {
      return editable(document.dashboard);
    } catch (error) {
      return error as Error;
    }
  }, [document]);
  return json instanceof Error ? <Fault error={json} /> : <Drafted json={json} document={document} saved={saved} />;
}

/** What is drawn is what is edited: while something is changed, as it would be saved. */
function Drafted({ json, document, saved }: ReadProps & { readonly json: Json }) {
  const editing = useEditing(document, json);
  const drawn = useDeferredValue(editing.draft.json); // letters come before charts
  const dashboard = useMemo(() => readDashboard(drawn), [drawn]);
  return <Drawn dashboard={dashboard} document={document} editing={editing} saved={saved} />;
}

interface DrawnProps extends ReadProps {
  readonly dashboard: Dashboard;
  readonly editing: EditProps["editing"];
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

function Board({ dashboard, document, editing, saved }: DrawnProps) {
  const { span, range } = useTime();
  useTitle(dashboard.title);
  useAskedToLeave(editing.dirty);
  const mode = useMode();
  const [what, setWhat] = useUrl("do");
  const edit = useRef<HTMLButtonElement>(null);
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
    [variables.chosen, span, range, dashboard.title],
  );
  const [params] = useSearchParams();
  const annotations = useMemo(() => switched(dashboard.annotations, params), [dashboard.annotations, params]);
  const drawing = { dashboard, scope, marks: useMarks(annotations, scope), adhoc: variables.adhoc };
  const done = (as: DashboardSummary) => {
    if (saved) return saved(as);
    mode.close();
    edit.current?.focus();
  };
  return (
    <>
      <Group gap={8} align="end">
        <h2 style={{ margin: 0, fontSize: 15 }}>{dashboard.title}</h2>
        {dashboard.timezone.toLowerCase() === "utc" && <span className="quiet">times in UTC</span>}
        {document.version > 0 && <span className="quiet">version {document.version}</span>}
        {editing.dirty && <span className="warn">changed, not saved</span>}
        <VariableBar variables={variables} />
        <Switches annotations={dashboard.annotations} />
        <Links dashboard={dashboard} scope={scope} />
        <Group gap={4} ml="auto">
          <Doing ref={edit} of="edit" on={mode.on} act={mode.on ? mode.close : mode.arrange} />
          {document.uid && <Rest document={document} what={what} set={setWhat} />}
        </Group>
      </Group>
      {what === "versions" && <Versions document={document} />}
      {variables.faults.map((text) => (
        <div key={text} className="warn">
          {text}
        </div>
      ))}
      {mode.on && (
        <Suspense fallback={<Loading rows={8} />}>
          <Edit {...drawing} editing={editing} mode={mode} saved={done} />
        </Suspense>
      )}
      {!mode.on && dashboard.panels.length === 0 && (
        <Nothing title="This dashboard has no panels">Add some with “edit”.</Nothing>
      )}
      {!mode.on && variables.ready && <Grid {...drawing} edit={mode.open} />}
    </>
  );
}

/** What can be done with a dashboard that has been saved. */
function Rest({ document, what, set }: { document: DashboardDocument; what: string; set: (what: string) => void }) {
  const { uid, version } = document;
  return (
    <>
      <Doing of="versions" on={what === "versions"} act={() => set(what === "versions" ? "" : "versions")} />
      <Button
        size="compact-xs"
        variant="default"
        component="a"
        href={address("/aiprism/v1/dashboards/{uid}/export", { uid }, { version })}
        download={`${uid}.json`}
      >
        export
      </Button>
    </>
  );
}

interface DoingProps {
  readonly ref?: Ref<HTMLButtonElement>;
  readonly of: string;
  readonly on: boolean;
  readonly act: () => void;
}

function Doing({ ref, of, on, act }: DoingProps) {
  return (
    <Button ref={ref} size="compact-xs" variant={on ? "filled" : "default"} aria-pressed={on} onClick={act}>
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
