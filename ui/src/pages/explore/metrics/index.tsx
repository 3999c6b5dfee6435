/** Metrics: PromQL as a graph and a table, what metrics there are, and how a query is answered. */

import { ActionIcon, Button, Group, SegmentedControl, Switch, Tooltip } from "@mantine/core";
import { IconListSearch, IconPlus, IconTrash } from "@tabler/icons-react";
import { lazy, Suspense, useCallback, useEffect, useState } from "react";
import { useSearchParams } from "react-router";
import { Panel } from "@/components/Panel";
import { Loading, Nothing } from "@/components/states";
import { useTime, useUrl } from "@/components/time";
import { Answer } from "./Answer";
import { Browser } from "./Browser";

const PromQLEditor = lazy(() => import("@/components/PromQLEditor"));

export default function Metrics() {
  const [params, setParams] = useSearchParams();
  const { again } = useTime();
  const asked = params.getAll("q");
  const [drafts, setDrafts] = useState<readonly string[]>(asked.length ? asked : [""]);
  const [view, setView] = useUrl("view", "both");
  const [stacked, setStacked] = useUrl("stack");
  const [exemplars, setExemplars] = useUrl("exemplars");
  const [browsing, setBrowsing] = useState(false);

  // Back and on, and links to here, change what is asked; what is being typed stays otherwise.
  const key = asked.join("\n");
  useEffect(() => setDrafts(key ? key.split("\n") : [""]), [key]);

  const run = useCallback(
    (texts: readonly string[]) => {
      again();
      setParams((before) => {
        const after = new URLSearchParams(before);
        after.delete("q");
        for (const text of texts) if (text.trim()) after.append("q", text.trim().replaceAll("\n", " "));
        return after;
      });
    },
    [again, setParams],
  );
  const put = (at: number, text: string) =>
    setDrafts((before) => before.map((each, place) => (place === at ? text : each)));

  return (
    <>
      <Panel
        title="Queries"
        side={
          <>
            <Tooltip label="what metrics there are">
              <Button
                size="compact-xs"
                variant="subtle"
                leftSection={<IconListSearch size={14} />}
                onClick={() => setBrowsing(!browsing)}
                aria-expanded={browsing}
              >
                metrics
              </Button>
            </Tooltip>
            <Button size="compact-xs" onClick={() => run(drafts)}>
              run
            </Button>
          </>
        }
      >
        <div style={{ display: "grid", gap: 6 }}>
          {drafts.map((text, at) => (
            <Group key={at} gap={6} wrap="nowrap" align="flex-start">
              <Suspense fallback={<Loading rows={1} height={30} />}>
                <PromQLEditor
                  value={text}
                  onChange={(next) => put(at, next)}
                  onRun={(now) => run(drafts.map((each, place) => (place === at ? now : each)))}
                  label={`query ${at + 1}`}
                  autoFocus={at === 0 && !text}
                />
              </Suspense>
              {drafts.length > 1 && (
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  mt={4}
                  aria-label={`remove query ${at + 1}`}
                  onClick={() => run(drafts.filter((_, place) => place !== at))}
                >
                  <IconTrash size={15} />
                </ActionIcon>
              )}
            </Group>
          ))}
          <Group gap="md">
            <Button
              size="compact-xs"
              variant="subtle"
              leftSection={<IconPlus size={13} />}
              onClick={() => setDrafts([...drafts, ""])}
            >
              query
            </Button>
            <SegmentedControl
              size="xs"
              aria-label="shown as"
              data={["graph", "table", "both", "explain"]}
              value={view}
              onChange={setView}
            />
            <Switch
              size="xs"
              label="stacked"
              checked={stacked === "1"}
              onChange={(event) => setStacked(event.currentTarget.checked ? "1" : "")}
            />
            <Switch
              size="xs"
              label="exemplars"
              checked={exemplars === "1"}
              onChange={(event) => setExemplars(event.currentTarget.checked ? "1" : "")}
            />
          </Group>
        </div>
        {browsing && (
          <Browser
            onPick={(query) => {
              setBrowsing(false);
              run([...drafts.filter((text) => text.trim()), query]);
            }}
          />
        )}
      </Panel>
      {asked.length === 0 && (
        <Nothing title="No query yet">
          Type a PromQL expression and press Enter, or choose among the metrics there are. Enter runs, Shift Enter
          begins a new line.
        </Nothing>
      )}
      {asked.map((query) => (
        <Answer key={query} query={query} view={view} stacked={stacked === "1"} exemplars={exemplars === "1"} />
      ))}
    </>
  );
}
