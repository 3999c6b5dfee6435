import { Button, Checkbox, Group, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { post } from "@/api/http";
import { type Incident, useIncidentActs } from "@/api/incidents";
import { Ago } from "@/components/Ago";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { Unnamed } from "@/components/Unnamed";

const ROLES = ["commander", "scribe", "communications", "operations", "expert"] as const;

/** Who has it, who has which role, and what is to be done. */
export function Work({ incident }: { incident: Incident }) {
  const [actor] = useActor();
  const acts = useIncidentActs(incident.id);
  const [to, setTo] = useState("");
  const [role, setRole] = useState<(typeof ROLES)[number]>("commander");
  const nobody = !actor.trim();
  const assign = () =>
    acts.mutate((path) => post("/aiprism/v1/incidents/{incident_id}/assign", { path, body: { actor, to, text: "" } }));
  const take = () =>
    acts.mutate((path) =>
      post("/aiprism/v1/incidents/{incident_id}/roles", { path, body: { actor, role, person: to || actor } }),
    );
  return (
    <Panel title="Who does what" note={`impact ${incident.impact ?? "–"}, urgency ${incident.urgency ?? "–"}`}>
      <div>
        assigned to <b>{incident.assignee || "nobody"}</b>
        {Object.entries(incident.roles ?? {}).map(([name, person]) => (
          <span key={name}>
            , {name} <b>{person}</b>
          </span>
        ))}
      </div>
      <Group gap={6} py={6}>
        <TextInput
          size="xs"
          w={130}
          aria-label="person"
          placeholder="a person"
          value={to}
          onChange={(event) => setTo(event.currentTarget.value)}
        />
        <Button size="compact-xs" variant="default" disabled={nobody || !to} loading={acts.isPending} onClick={assign}>
          assign
        </Button>
        <Select
          size="xs"
          w={140}
          aria-label="role"
          data={ROLES}
          value={role}
          allowDeselect={false}
          onChange={(value) => setRole((value as typeof role) ?? "commander")}
        />
        <Button size="compact-xs" variant="default" disabled={nobody} loading={acts.isPending} onClick={take}>
          set role
        </Button>
        <Unnamed to="to assign it" />
      </Group>
      {acts.isError && <Fault error={acts.error} />}
      <Rating incident={incident} />
      <Tasks incident={incident} />
    </Panel>
  );
}

const OF_ALERTS = "from its alerts";

/** Says how urgent it is, or leaves that to its alerts again. */
function Rating({ incident }: { incident: Incident }) {
  const [actor] = useActor();
  const [text, setText] = useState("");
  const acts = useIncidentActs(incident.id);
  const [priority, setPriority] = useState<string>(incident.priority);
  const rate = () =>
    acts.mutate(
      (path) =>
        post("/aiprism/v1/incidents/{incident_id}/priority", {
          path,
          body: { actor, text, priority: priority === OF_ALERTS ? null : (priority as Incident["priority"]) },
        }),
      { onSuccess: () => setText("") },
    );
  return (
    <form
      style={{ display: "flex", flexWrap: "wrap", gap: 6 }}
      onSubmit={(event) => {
        event.preventDefault();
        if (actor && text.trim()) rate();
      }}
    >
      <Select
        size="xs"
        w={130}
        aria-label="priority"
        data={["P0", "P1", "P2", "P3", OF_ALERTS]}
        value={priority}
        allowDeselect={false}
        onChange={(to) => setPriority(to ?? OF_ALERTS)}
      />
      <TextInput
        size="xs"
        style={{ flex: "1 1 140px" }}
        aria-label="why this priority"
        placeholder="why"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <Button
        size="compact-xs"
        mt={3}
        variant="default"
        type="submit"
        disabled={!actor || !text.trim()}
        loading={acts.isPending}
      >
        set priority
      </Button>
      {acts.isError && <Fault error={acts.error} />}
    </form>
  );
}

function Tasks({ incident }: { incident: Incident }) {
  const [actor] = useActor();
  const acts = useIncidentActs(incident.id);
  const [text, setText] = useState("");
  const add = () =>
    acts.mutate(
      (path) =>
        post("/aiprism/v1/incidents/{incident_id}/tasks", { path, body: { actor, text, assignee: "", key: "" } }),
      {
        onSuccess: () => setText(""),
      },
    );
  const turn = (task: string, done: boolean) =>
    acts.mutate((path) =>
      post(`/aiprism/v1/incidents/{incident_id}/tasks/{task}/${done ? "done" : "reopen"}`, {
        path: { ...path, task: task as never },
        body: { actor, text: "" },
      }),
    );
  return (
    <>
      {(incident.tasks ?? []).map((task) => (
        <Checkbox
          key={task.id}
          size="xs"
          py={2}
          checked={Boolean(task.done_at)}
          disabled={!actor}
          onChange={(event) => turn(String(task.id), event.currentTarget.checked)}
          label={
            <>
              {task.text} {task.assignee && <b>{task.assignee}</b>}{" "}
              {task.due && (
                <span className="quiet">
                  due <Ago at={task.due} />
                </span>
              )}
            </>
          }
        />
      ))}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim() && actor) add();
        }}
      >
        <TextInput
          size="xs"
          mt={4}
          aria-label="new task"
          placeholder="what is to be done; Enter adds it"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      </form>
      {acts.isError && <Fault error={acts.error} />}
    </>
  );
}
