import { useState } from "react";
import type { SqlTable } from "@/api/sql";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";

interface Props {
  readonly tables: readonly SqlTable[];
  /** With a first question to the table. */
  readonly onTable: (sql: string) => void;
  readonly onColumn: (name: string) => void;
}

/** The tables there are with their columns; a name that is clicked goes into the query. */
export function Tables({ tables, onTable, onColumn }: Props) {
  const [sought, setSought] = useState("");
  const word = sought.trim().toLowerCase();
  const fits = (text: string) => text.toLowerCase().includes(word);
  const shown = tables.filter(
    ({ name, about, columns }) => fits(name) || fits(about) || columns.some((c) => fits(c.name)),
  );
  return (
    <Panel title="Tables">
      <Sought label="find a table or column" hint="a word of a name" value={sought} onChange={setSought} mb={6} />
      <div className="sql-tables" role="group" aria-label="tables" tabIndex={0}>
        {shown.map((table) => (
          <details key={table.name} open={word !== "" && !fits(table.name)}>
            <summary title={table.about}>
              <code>{table.name}</code> <small className="quiet">{table.about}</small>
            </summary>
            <button type="button" className="plain link" onClick={() => onTable(first(table))}>
              {`from ${table.name}`}
            </button>
            <ul>
              {table.columns.map(({ name, type, about }) => (
                <li key={name} title={`${name} ${type}${about && `\n${about}`}`}>
                  <button type="button" className="plain mono link" onClick={() => onColumn(name)}>
                    {name}
                  </button>{" "}
                  <small className="quiet">{about || type}</small>
                </li>
              ))}
            </ul>
          </details>
        ))}
      </div>
    </Panel>
  );
}

function first({ name, time }: SqlTable): string {
  const when = time && `\nWHERE ${time} >= {from:DateTime64} AND ${time} < {to:DateTime64}\nORDER BY ${time} DESC`;
  return `SELECT *\nFROM ${name}${when}\nLIMIT 50`;
}
