import { Button, Group } from "@mantine/core";
import { Nothing } from "@/components/states";
import {
  ASKED,
  type Asked,
  movedQuery,
  queriesOf,
  withNewQuery,
  withoutQuery,
  withQuery,
} from "@/model/dashboard/queries";
import type { Json } from "@/model/dashboard/types";
import { Query } from "./Query";

interface Props {
  readonly panel: Json;
  readonly change: (panel: Json, what: string) => void;
  /** The panel is asked and drawn at once. */
  readonly run: () => void;
}

/** What a panel asks: each query with its text and what is asked beside it; added, put in order and taken away. */
export function Queries({ panel, change, run }: Props) {
  const all = queriesOf(panel);
  return (
    <section aria-label="queries" className="queries">
      {all.map((query, at) => (
        <Query
          key={`${panel.id} ${at} of ${all.length}`}
          panel={panel}
          query={query}
          change={(next, what) => change(withQuery(panel, at, next), what && `${panel.id} query ${at} ${what}`)}
          run={run}
          up={at > 0 ? () => change(movedQuery(panel, at, at - 1), "") : undefined}
          down={at < all.length - 1 ? () => change(movedQuery(panel, at, at + 1), "") : undefined}
          remove={() => change(withoutQuery(panel, at), "")}
        />
      ))}
      {all.length === 0 && <Nothing title="Nothing is asked">Add a query of what the panel shall show.</Nothing>}
      <Group gap={6}>
        <span className="quiet">another query of</span>
        {(Object.keys(ASKED) as Asked[]).map((asked) => (
          <Button
            key={asked}
            size="compact-xs"
            variant="default"
            onClick={() => change(withNewQuery(panel, asked), "")}
          >
            {asked}
          </Button>
        ))}
      </Group>
    </section>
  );
}
