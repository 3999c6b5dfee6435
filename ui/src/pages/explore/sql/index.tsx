/** SQL: a query in ClickHouse's words, the tables it may read, and its answer as a chart and a table. */

import { Button, Group } from "@mantine/core";
import { lazy, Suspense, useEffect, useState } from "react";
import { type SqlExample, useSqlCatalogue } from "@/api/sql";
import { Panel } from "@/components/Panel";
import { Loading, Nothing, Shown } from "@/components/states";
import { useTime, useUrl } from "@/components/time";
import { Answer } from "./Answer";
import { Tables } from "./Tables";

const SqlEditor = lazy(() => import("@/components/SqlEditor"));

export default function Sql() {
  const catalogue = useSqlCatalogue();
  const { again } = useTime();
  const [query, setQuery] = useUrl("q");
  const [draft, setDraft] = useState(query);
  const [insert, setInsert] = useState<{ readonly text: string } | null>(null);
  useEffect(() => setDraft(query), [query]); // back and on, and links to here
  const run = (text: string) => {
    again();
    setQuery(text.trim(), true);
  };
  return (
    <Shown of={catalogue} rows={8}>
      {(known) => (
        <div className="sql">
          <Tables
            tables={known.tables}
            onTable={(text) =>
              draft.trim() ? setInsert({ text: ` ${text.split("\n")[1]!.slice(5)}` }) : setDraft(text)
            }
            onColumn={(name) => setInsert({ text: name })}
          />
          <div className="sql-main">
            <Panel
              title="Query"
              note="read-only"
              side={
                <Button size="compact-xs" onClick={() => run(draft)} title="Ctrl Enter">
                  run
                </Button>
              }
            >
              <Suspense fallback={<Loading rows={3} />}>
                <SqlEditor
                  catalogue={known}
                  value={draft}
                  onChange={setDraft}
                  onRun={run}
                  insert={insert}
                  label="SQL query"
                  autoFocus={!query}
                />
              </Suspense>
              <Examples examples={known.examples} onPick={run} />
            </Panel>
            {query ? (
              <Answer query={query} />
            ) : (
              <Nothing title="No query yet">
                Write one and press Ctrl Enter, choose an example, or a table on the left. {"{from:DateTime64}"} and{" "}
                {"{to:DateTime64}"} are the range of this page, {"{step:UInt32}"} seconds that suit it.
              </Nothing>
            )}
          </div>
        </div>
      )}
    </Shown>
  );
}

function Examples({ examples, onPick }: { examples: readonly SqlExample[]; onPick: (sql: string) => void }) {
  return (
    <Group gap={4} mt={6} role="group" aria-label="examples">
      <span className="quiet">examples:</span>
      {examples.map(({ title, sql }) => (
        <Button key={title} size="compact-xs" variant="subtle" onClick={() => onPick(sql)}>
          {title}
        </Button>
      ))}
    </Group>
  );
}
