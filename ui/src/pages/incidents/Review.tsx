import { useQuery } from "@tanstack/react-query";
import { get } from "@/api/http";
import { Panel } from "@/components/Panel";
import { Shown } from "@/components/states";
import { useTime } from "@/components/time";

/** The week's figures, as the server tells them in Markdown. */
export default function Review() {
  const { span } = useTime();
  const end = Math.floor(span.end / 60) * 60;
  const told = useQuery({
    queryKey: ["review", end],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/reports/weekly", { query: { end }, signal })) as Readonly<Record<string, unknown>>,
  });
  return (
    <Panel title="The week" note="beside the week before">
      <Shown of={told} rows={12}>
        {(report) => <Tree of={report} />}
      </Shown>
    </Panel>
  );
}

/** Figures within figures, as a list of names and values. */
function Tree({ of: value, name = "" }: { of: unknown; name?: string }) {
  if (value === null || typeof value !== "object") {
    return (
      <div>
        <span className="quiet">{name.replaceAll("_", " ")}</span>{" "}
        <b>{value === null ? "–" : typeof value === "number" ? Number(value.toPrecision(4)) : String(value)}</b>
      </div>
    );
  }
  const entries = Object.entries(value);
  return (
    <section style={{ padding: "2px 0 6px" }}>
      {name && <strong>{name.replaceAll("_", " ")}</strong>}
      <div style={{ paddingLeft: name ? 14 : 0, display: "grid", gap: 1 }}>
        {entries.length === 0 ? (
          <span className="faint">none</span>
        ) : (
          entries.map(([key, inner]) => <Tree key={key} name={key} of={inner} />)
        )}
      </div>
    </section>
  );
}
