import { useStorage } from "@/api/storage";
import { Ago } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { byKind, compression, type Kind, kindOf, type StoredTable } from "@/model/storage";
import { formatDuration } from "@/model/timerange";
import { format } from "@/model/units";

/** What is stored, how small, how long it is kept, and how much room is left. */
export function Storage() {
  const storage = useStorage();
  return (
    <Shown of={storage} rows={10}>
      {({ tables, free_bytes, database }) => {
        const bytes = tables.reduce((sum, each) => sum + each.bytes, 0);
        const uncompressed = tables.reduce((sum, each) => sum + each.uncompressed, 0);
        return (
          <>
            <div className="figures">
              <Figure value={format(bytes, "bytes")} name="on disk" />
              <Figure value={format(uncompressed, "bytes")} name="before compression" />
              <Figure value={times({ bytes, uncompressed })} name="compressed" />
              <Figure value={format(free_bytes, "bytes")} name="free on the disk" />
            </div>
            {tables.length === 0 ? (
              <Nothing title="Nothing is stored yet">
                Send telemetry over OTLP to this server, or have it scrape.
              </Nothing>
            ) : (
              <>
                <Kinds of={byKind(tables)} />
                <Tables of={tables} database={database} />
              </>
            )}
          </>
        );
      }}
    </Shown>
  );
}

function Figure({ value, name }: { value: string; name: string }) {
  return (
    <div className="figure">
      <b>{value}</b>
      <span>{name}</span>
    </div>
  );
}

const times = (sizes: { bytes: number; uncompressed: number }) => {
  const factor = compression(sizes);
  return factor === null ? "–" : `${format(factor, "short")} ×`;
};

function Kinds({ of: kinds }: { of: readonly Kind[] }) {
  const columns: Column<Kind>[] = [
    { title: "kind", cell: ({ kind }) => kind, by: ({ kind }) => kind },
    { title: "rows", cell: ({ rows }) => format(rows, "short"), by: ({ rows }) => rows, number: true },
    { title: "on disk", cell: ({ bytes }) => format(bytes, "bytes"), by: ({ bytes }) => bytes, number: true },
    { title: "compressed", cell: times, by: compression, number: true },
    {
      title: "a row",
      cell: ({ bytes, rows }) => (rows ? format(bytes / rows, "bytes") : ""),
      number: true,
      small: false,
    },
  ];
  return (
    <Panel title="By kind">
      <Table label="stored by kind" columns={columns} rows={kinds} id={({ kind }) => kind} />
    </Panel>
  );
}

function Tables({ of: tables, database }: { of: readonly StoredTable[]; database: string }) {
  const columns: Column<StoredTable>[] = [
    { title: "table", cell: ({ table }) => <code>{table}</code>, by: ({ table }) => table },
    { title: "kind", cell: ({ table }) => kindOf(table), by: ({ table }) => kindOf(table), small: false },
    { title: "rows", cell: ({ rows }) => format(rows, "short"), by: ({ rows }) => rows, number: true },
    { title: "on disk", cell: ({ bytes }) => format(bytes, "bytes"), by: ({ bytes }) => bytes, number: true },
    { title: "compressed", cell: times, by: compression, number: true, small: false },
    {
      title: "kept for",
      cell: ({ retention_seconds: kept }) => (kept === null ? "" : kept === 0 ? "ever" : formatDuration(kept)),
      by: ({ retention_seconds }) => retention_seconds,
      number: true,
    },
    {
      title: "oldest",
      cell: ({ oldest }) => (oldest ? <Ago at={oldest} /> : ""),
      by: ({ oldest }) => oldest,
      number: true,
      small: false,
    },
    { title: "parts", cell: ({ parts }) => parts, by: ({ parts }) => parts, number: true, small: false },
  ];
  return (
    <Panel title="Tables" note={`of ${database}; how long they are kept is set by retention.* in aiprism.yml`}>
      <Table label="stored tables" columns={columns} rows={tables} id={({ table }) => table} />
    </Panel>
  );
}
