/** The routing tree, and where an alert with some labels would go through it. */

import { Select, TextInput } from "@mantine/core";
import { Link } from "react-router";
import { useAlerts } from "@/api/alerts";
import { type Taking, type Routing as Told, useRouting, useTaking } from "@/api/routing";
import { useSilences } from "@/api/silences";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Fault, Nothing, Shown } from "@/components/states";
import { Tag } from "@/components/Tag";
import { useGoto, useUrl } from "@/components/time";
import { Untold } from "@/components/Untold";
import { exactly, printMatchers } from "@/model/matchers";
import { matchesAll } from "@/model/matching";
import { countRoutes, litWay, routeOf, timing, typedLabels } from "@/model/routing";
import { Tree } from "./Tree";

export function Routing() {
  const routing = useRouting();
  const [text] = useUrl("labels");
  const labels = typedLabels(text) ?? [];
  const taking = useTaking(labels);
  const found = labels.length > 0 ? (taking.data ?? []) : [];
  const ids = new Set(found.map(({ id }) => id));
  return (
    <>
      <Panel title="Where would this alert go?">
        <Question />
        {taking.isError && labels.length > 0 && <Fault error={taking.error} />}
        {routing.data && found.length > 0 && <Answer routing={routing.data} taking={found} />}
      </Panel>
      <Shown of={routing} rows={8}>
        {(told) => (
          <Panel title="Routes" note={`${countRoutes(told.root)} to ${Object.keys(told.receivers).length} receivers`}>
            {told.warnings.map((warning) => (
              <div key={warning} className="warn">
                {warning}
              </div>
            ))}
            <Tree root={told.root} receivers={told.receivers} lit={litWay(told.root, ids)} taking={ids} />
          </Panel>
        )}
      </Shown>
    </>
  );
}

/** The labels, typed or those of an alert that there is. */
function Question() {
  const alerts = useAlerts();
  const [text, setText] = useUrl("labels");
  const of = new Map((alerts.data ?? []).map(({ labels }) => [printMatchers(exactly(labels)), labels]));
  return (
    <div style={{ display: "flex", flexWrap: "wrap", gap: 8, alignItems: "start" }}>
      <TextInput
        size="xs"
        style={{ flex: "1 1 300px" }}
        aria-label="labels of the alert"
        placeholder='its labels, such as severity="critical", service="api"'
        value={text}
        error={
          text && typedLabels(text) === null && "labels have values, no conditions: severity=critical, service=api"
        }
        onChange={(event) => setText(event.currentTarget.value)}
        styles={{ input: { fontFamily: "var(--mono)" } }}
      />
      <Select
        size="xs"
        style={{ flex: "0 1 300px" }}
        aria-label="an existing alert"
        placeholder="or an existing alert"
        searchable
        clearable
        nothingFoundMessage="no alert of that name"
        data={[...of].map(([value, labels]) => ({ value, label: named(labels) }))}
        value={of.has(text) ? text : null}
        onChange={(to) => setText(to ?? "")}
      />
    </div>
  );
}

function named({ alertname = "", ...rest }: Readonly<Record<string, string>>): string {
  return [alertname, rest.service, rest.instance, rest.severity].filter(Boolean).join(" ");
}

/** Who is told, with which group and when, and what keeps it from being told now. */
function Answer({ routing, taking }: { routing: Told; taking: readonly Taking[] }) {
  const [text] = useUrl("labels");
  const goto = useGoto();
  const silences = useSilences();
  const labels = Object.fromEntries((typedLabels(text) ?? []).map(({ name, value }) => [name, value]));
  const active = (silences.data ?? []).filter(({ status }) => status.state === "active");
  const held = active.map(({ matchers }) => matchesAll(matchers, labels));
  const muting = active.filter((_, at) => held[at]);
  return (
    <>
      {muting.length > 0 && (
        <p className="warn sentence" style={{ margin: "8px 0 0" }}>
          Nobody, while it is silenced:{" "}
          {muting.map(({ id, matchers, comment }) => (
            <Link key={id} to={goto("/alerts/silences")}>
              {printMatchers(matchers)} ({comment})
            </Link>
          ))}
        </p>
      )}
      <Untold
        count={held.filter((each) => each === null).length}
        of={`of ${active.length} silences`}
        what="whether they mute it"
      />
      <ol aria-label="who would be told" style={{ margin: "8px 0 0", paddingLeft: 20, display: "grid", gap: 6 }}>
        {taking.map(({ id, receiver, group, muted_by }) => {
          const route = routeOf(routing.root, id);
          const channels = routing.receivers[receiver] ?? [];
          return (
            <li key={id}>
              <strong>{receiver}</strong>{" "}
              <span className="quiet">{channels.length > 0 ? `by ${channels.join(", ")}` : "has no channel"}</span>{" "}
              {muted_by.length > 0 && <Tag of={`muted now: ${muted_by.join(", ")}`} kind="warn" />}
              <div className="quiet">
                {route && timing(route)}; in the group{" "}
                {Object.keys(group).length > 0 ? <Labels of={group} /> : "of all alerts of the route"}
              </div>
            </li>
          );
        })}
      </ol>
      {taking.length === 0 && <Nothing title="Nobody">No route matches it.</Nothing>}
    </>
  );
}
