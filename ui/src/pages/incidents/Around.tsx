import type { Incident } from "@/api/incidents";
import { type ServiceMap, useServiceMap } from "@/api/services";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { useTime } from "@/components/time";
import { near } from "@/model/maplayout";
import { Drawing } from "../services/Drawing";

const HOUR = 3600;

/**
 * The services it is about on the map, with those they call and that call them: as they do now while it is open, else as they did in
 * its first hour. It may last for days, and all that was called in them would be counted anew each minute.
 */
export default function Around({ incident }: { incident: Incident }) {
  const { now } = useTime();
  const { created_at, resolved_at } = incident;
  const before = created_at - 900;
  const span =
    resolved_at === null
      ? { start: Math.max(before, now - HOUR), end: now }
      : { start: before, end: Math.min(resolved_at, created_at + HOUR) };
  const map = useServiceMap(span);
  return (
    <Panel title="Where it is" note="its services are filled; colours tell the share of failed calls">
      <Shown of={map} rows={4}>
        {(found) => <Drawn map={near(found, incident.services)} marked={new Set(incident.services)} />}
      </Shown>
    </Panel>
  );
}

function Drawn({ map, marked }: { map: ServiceMap; marked: ReadonlySet<string> }) {
  if (map.nodes.length === 0)
    return (
      <Nothing title="They are on no map">
        No trace shows them, and services.yml does not declare them: who suffers with them is not known.
      </Nothing>
    );
  return (
    <section className="scroll" aria-label="map" tabIndex={0}>
      <Drawing map={map} load={(of) => of} fit marked={marked} />
    </section>
  );
}
