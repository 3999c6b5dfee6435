import { Button, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { post } from "@/api/http";
import { type Incident, type Run, useIncidentActs } from "@/api/incidents";
import { useRunbooks } from "@/api/incidentwork";
import { Ago, Lasting } from "@/components/Ago";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { Tag } from "@/components/Tag";
import { useTime } from "@/components/time";
import { Unnamed } from "@/components/Unnamed";
import { waitingFor } from "@/model/incident";
import { clockTime, dateTime } from "@/model/timerange";

/** What runbooks did, step by step; one that waits for a person is let go or refused here, one that acts can be ended. */
export function Runs({ incident }: { incident: Incident }) {
  return (
    <Panel title="Runbooks">
      {incident.runs.map((run) => (
        <OneRun key={run.id} incident={incident} run={run} />
      ))}
    </Panel>
  );
}

/** That none ran, and the form that starts one. */
export function Startable({ incident }: { incident: Incident }) {
  const runbooks = useRunbooks();
  const none = incident.runs.length === 0;
  const names = incident.status === "resolved" ? [] : (runbooks.data ?? []).map(({ name }) => name);
  if (!none && names.length === 0) return null;
  return (
    <Panel title={none ? "Runbooks" : "Start a runbook"}>
      {none && <div className="empty">None ran: no runbook matches its alerts and tier.</div>}
      {names.length > 0 && <Start incident={incident} names={names} />}
    </Panel>
  );
}

function OneRun({ incident, run }: { incident: Incident; run: Run }) {
  const { utc } = useTime();
  const [actor] = useActor();
  const acts = useIncidentActs(incident.id);
  const decide = (word: "approve" | "refuse") =>
    acts.mutate((path) =>
      post(`/aiprism/v1/incidents/{incident_id}/runs/{run_id}/${word}`, {
        path: { ...path, run_id: run.id },
        body: { actor },
      }),
    );
  const abort = () =>
    acts.mutate((path) =>
      post("/aiprism/v1/incidents/{incident_id}/runs/{run_id}/abort", {
        path: { ...path, run_id: run.id },
        body: { actor, reason: "ended on its incident's page" },
      }),
    );
  const waits = run.state === "waiting_approval" ? waitingFor(incident.timeline, run.id) : null;
  return (
    <div style={{ padding: "3px 0 7px" }}>
      <Tag of={run.state} /> <strong>{run.runbook}</strong>{" "}
      {run.started_at && (
        <span className="quiet">
          {clockTime(run.started_at, utc)}, {run.finished_at ? "took" : "for"}{" "}
          <Lasting from={run.started_at} until={run.finished_at} />
        </span>
      )}{" "}
      {waits && (
        <div className="sentence" style={{ padding: "2px 0 4px" }}>
          {waits.text}
          {waits.until && (
            <span className="quiet">
              {" "}
              (to be decided <Ago at={waits.until} />)
            </span>
          )}
        </div>
      )}
      {run.waits && (
        <div className="sentence" style={{ padding: "2px 0 4px" }}>
          waits
          {run.waits.until && (
            <>
              {" "}
              until {dateTime(run.waits.until, utc)} (<Ago at={run.waits.until} />)
            </>
          )}
          : {run.waits.why}
        </div>
      )}
      {run.state === "waiting_approval" && (
        <>
          <Button size="compact-xs" disabled={!actor} loading={acts.isPending} onClick={() => decide("approve")}>
            approve
          </Button>{" "}
          <Button
            size="compact-xs"
            variant="default"
            color="red"
            disabled={!actor}
            loading={acts.isPending}
            onClick={() => decide("refuse")}
          >
            refuse
          </Button>{" "}
          <Unnamed to="to decide" />
        </>
      )}
      {["running", "verifying"].includes(run.state) && (
        <Button size="compact-xs" variant="default" disabled={!actor} loading={acts.isPending} onClick={abort}>
          abort
        </Button>
      )}
      {acts.isError && <Fault error={acts.error} />}
      {run.outcome && <div>{run.outcome}</div>}
      <ol style={{ margin: "2px 0 0", paddingLeft: 22 }}>
        {run.steps.map((step, at) => (
          <li key={at}>
            {step.name || step.kind} <Tag of={step.state} />{" "}
            <span className={step.state === "failed" ? "bad" : "quiet"}>{step.result?.message}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

/** Starts a runbook by hand; its guards apply. */
function Start({ incident, names }: { incident: Incident; names: string[] }) {
  const [actor] = useActor();
  const [runbook, setRunbook] = useState("");
  const [reason, setReason] = useState("");
  const acts = useIncidentActs(incident.id);
  const start = () =>
    acts.mutate(
      (path) =>
        post("/aiprism/v1/incidents/{incident_id}/runs", { path, body: { actor, runbook, reason, fingerprint: "" } }),
      { onSuccess: () => [setRunbook(""), setReason("")] },
    );
  return (
    <form
      style={{ display: "flex", flexWrap: "wrap", gap: 6, paddingTop: 6 }}
      onSubmit={(event) => {
        event.preventDefault();
        if (actor && runbook && reason.trim()) start();
      }}
    >
      <Select
        size="xs"
        style={{ flex: "1 1 140px" }}
        aria-label="runbook to start"
        placeholder="start a runbook"
        data={names}
        value={runbook || null}
        onChange={(to) => setRunbook(to ?? "")}
      />
      <TextInput
        size="xs"
        style={{ flex: "2 1 140px" }}
        aria-label="why it is started"
        placeholder="why"
        value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
      />
      <Button
        size="xs"
        variant="default"
        type="submit"
        disabled={!actor || !runbook || !reason.trim()}
        loading={acts.isPending}
      >
        start
      </Button>
      {acts.isError && <Fault error={acts.error} />}
    </form>
  );
}
