/** Who calls whom: boxes and lines, coloured by the share that failed, wide by how much; a slider goes through the range. */

import { Button, Group, SegmentedControl, Slider } from "@mantine/core";
import { useMemo, useState } from "react";
import { type Load, type MapEdge, type MapNode, type ServiceMap, useServiceMap } from "@/api/services";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { useTime, useUrl } from "@/components/time";
import { near } from "@/model/maplayout";
import { dateTime, stepFor } from "@/model/timerange";
import { Drawing } from "./Drawing";

const STEPS = 60;

export default function Page() {
  const { span } = useTime();
  const map = useServiceMap(span, stepFor(span, STEPS, 60));
  return (
    <Shown of={map} rows={10}>
      {(found) =>
        found.nodes.length ? (
          <Drawn map={found} />
        ) : (
          <Nothing title="No service yet">
            The map draws the calls that traces show, and the dependencies that services.yml declares.
          </Nothing>
        )
      }
    </Shown>
  );
}

function Drawn({ map }: { map: ServiceMap }) {
  const { utc } = useTime();
  const [focus, setFocus] = useUrl("focus");
  const [scale, setScale] = useState("fit");
  const times = useMemo(
    () => Array.from({ length: Math.ceil((map.end - map.start) / map.step) }, (_, at) => map.start + at * map.step),
    [map],
  );
  const [at, setAt] = useState<number | null>(null); // null: the whole range
  const shown = useMemo(() => (focus ? near(map, [focus]) : map), [map, focus]);
  return (
    <Panel
      title={focus ? `Around ${focus}` : "Who calls whom"}
      note={at === null ? "the whole range" : `from ${dateTime(times[at]!, utc)}`}
      side={
        <>
          {focus && (
            <Button size="compact-xs" variant="subtle" onClick={() => setFocus("", true)}>
              all services
            </Button>
          )}
          <SegmentedControl size="xs" aria-label="size" data={["fit", "full"]} value={scale} onChange={setScale} />
        </>
      }
    >
      <section className="scroll" aria-label="map" tabIndex={0} style={{ maxHeight: "70vh", overflowY: "auto" }}>
        <Drawing
          map={shown}
          load={(of) => loadAt(of, times, at)}
          fit={scale === "fit"}
          onPick={(name) => setFocus(focus === name ? "" : name, true)}
        />
      </section>
      <Group gap="4px 14px" pt={8}>
        <Slider
          flex="1 1 220px"
          size="sm"
          thumbLabel="moment"
          label={(value) => (value >= times.length ? "whole range" : dateTime(times[value] ?? map.end, utc))}
          min={0}
          max={times.length}
          value={at ?? times.length}
          onChange={(value) => setAt(value >= times.length ? null : value)}
        />
        <span className="quiet">a click shows what stands around a service; its name leads to its page</span>
      </Group>
      {!map.is_whole && (
        <div className="warn">There are more services or calls than are told; the map shows the busiest.</div>
      )}
    </Panel>
  );
}

const NONE: Load = { calls: 0, errors: 0, p50_ms: null, p95_ms: null, p99_ms: null, rate: 0, error_share: 0 };

function loadAt(of: MapNode | MapEdge, times: readonly number[], at: number | null): Load {
  if (at === null) return of;
  return of.points?.find(({ start }) => start === times[at]) ?? NONE;
}
