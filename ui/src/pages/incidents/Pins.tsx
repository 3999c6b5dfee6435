import { Button, TextInput } from "@mantine/core";
import { useState } from "react";
import { post } from "@/api/http";
import { type Incident, type Pin, useIncidentActs } from "@/api/incidents";
import { Ago } from "@/components/Ago";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { addressIn } from "@/model/room";

/** Evidence that is kept at hand, and what else is. */
export function Pins({ incident }: { incident: Incident }) {
  const [actor] = useActor();
  const [what, setWhat] = useState("");
  const acts = useIncidentActs(incident.id);
  const pin = () =>
    acts.mutate((path) => post("/aiprism/v1/incidents/{incident_id}/pin", { path, body: { actor, what, text: "" } }), {
      onSuccess: () => setWhat(""),
    });
  const pins = incident.pins ?? [];
  return (
    <Panel title="Pinned" note={pins.length ? `${pins.length}` : undefined}>
      <ul style={{ listStyle: "none", margin: 0, padding: 0 }} aria-label="pinned evidence">
        {pins.map((each) => (
          <One key={each.id} pin={each} />
        ))}
      </ul>
      <form
        style={{ display: "flex", gap: 6 }}
        onSubmit={(event) => {
          event.preventDefault();
          if (actor && what.trim()) pin();
        }}
      >
        <TextInput
          size="xs"
          flex={1}
          aria-label="evidence to pin"
          placeholder="a link, a trace id, or words worth coming back to"
          maxLength={2000}
          value={what}
          onChange={(event) => setWhat(event.currentTarget.value)}
        />
        <Button size="xs" variant="default" type="submit" disabled={!actor || !what.trim()} loading={acts.isPending}>
          pin
        </Button>
      </form>
      {acts.isError && <Fault error={acts.error} />}
    </Panel>
  );
}

function One({ pin: { what, text, by, at } }: { pin: Pin }) {
  const to = addressIn(what);
  return (
    <li style={{ padding: "2px 0", overflowWrap: "anywhere" }}>
      {to ? (
        <a href={to} rel="noreferrer">
          {what}
        </a>
      ) : (
        <code>{what}</code>
      )}{" "}
      {text}{" "}
      <span className="faint nowrap">
        {by}, <Ago at={at} past />
      </span>
    </li>
  );
}
