/** All that is known of one record, where it leads, and the lines around it. */

import { ActionIcon, Button, Group } from "@mantine/core";
import { IconColumnInsertRight, IconMinus, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { Link } from "react-router";
import { useLogContext } from "@/api/logs";
import { copy } from "@/components/Panel";
import { Shown } from "@/components/states";
import { useGoto, useTime } from "@/components/time";
import type { LogRecord } from "@/model/logs";
import { quoted } from "@/model/lucene";
import { dateTime } from "@/model/timerange";
import { keyOf, Line } from "./Lines";

interface Props {
  readonly record: LogRecord;
  readonly onTerm: (name: string, value: string, out: boolean) => void;
  readonly onColumn: (name: string) => void;
}

export function Details({ record, onTerm, onColumn }: Props) {
  const { utc } = useTime();
  const [around, setAround] = useState(0);
  const own: [string, string][] = (["level", "service", "trace_id", "span_id"] as const).map((name) => [
    name,
    record[name],
  ]);
  const fields = [...own, ...Object.entries(record.attributes), ...Object.entries(record.resource)];
  return (
    <div className="log-details">
      <Leads record={record} around={around > 0} onAround={() => setAround(around ? 0 : 10)} />
      <pre className="mono">{pretty(record.body)}</pre>
      <table className="table" aria-label="fields of the record">
        <tbody>
          <tr>
            <td className="quiet">time</td>
            <td>
              {dateTime(record.ts_ns / 1e9, utc)}.{String(Math.floor(record.ts_ns / 1e3) % 1e6).padStart(6, "0")}
            </td>
          </tr>
          {fields
            .filter(([, value]) => value !== "")
            .map(([name, value], at) => (
              <tr key={`${at} ${name}`}>
                <td className="quiet">
                  <Group gap={0} wrap="nowrap">
                    <Act label={`only ${name} ${value}`} act={() => onTerm(name, value, false)} icon={IconPlus} />
                    <Act label={`without ${name} ${value}`} act={() => onTerm(name, value, true)} icon={IconMinus} />
                    <Act label={`column ${name}`} act={() => onColumn(name)} icon={IconColumnInsertRight} />
                    <span style={{ paddingLeft: 4 }}>{name}</span>
                  </Group>
                </td>
                <td className="mono" style={{ overflowWrap: "anywhere" }}>
                  {value}
                </td>
              </tr>
            ))}
        </tbody>
      </table>
      {around > 0 && record.links.context && (
        <Context record={record} link={record.links.context} lines={around} more={() => setAround(around * 3)} />
      )}
    </div>
  );
}

function Act({ label, act, icon: Icon }: { label: string; act: () => void; icon: typeof IconPlus }) {
  return (
    <ActionIcon size="xs" variant="subtle" color="gray" aria-label={label} title={label} onClick={act}>
      <Icon size={12} />
    </ActionIcon>
  );
}

function Leads({ record, around, onAround }: { record: LogRecord; around: boolean; onAround: () => void }) {
  const goto = useGoto();
  const { service, trace_id, span_id } = record;
  const span: Record<string, string> = span_id ? { span: span_id } : {};
  // The names of its metrics: from there each is one click away.
  const metrics = `count by (__name__) ({job=~"(.+/)?${service.replace(/[\\.+*?()|[\]{}^$"]/g, "\\\\$&")}"})`;
  return (
    <Group gap="md" className="leads">
      {trace_id && <Link to={goto(`/explore/traces/${trace_id}`, span)}>trace</Link>}
      {trace_id && <Link to={goto("/explore/logs", { q: `trace_id:${trace_id}` })}>logs of the trace</Link>}
      {service && <Link to={goto(`/services/${encodeURIComponent(service)}`)}>service {service}</Link>}
      {service && <Link to={goto("/explore/metrics", { q: metrics, view: "table" })}>its metrics</Link>}
      {service && <Link to={goto("/explore/logs", { q: `service:${quoted(service)}` })}>its logs</Link>}
      <Button size="compact-xs" variant="subtle" onClick={onAround} aria-expanded={around}>
        lines around it
      </Button>
      <Button
        size="compact-xs"
        variant="subtle"
        color="gray"
        onClick={() => void copy(JSON.stringify({ ...record, links: undefined }, null, 2), "record")}
      >
        copy JSON
      </Button>
    </Group>
  );
}

function Context({ record, link, lines, more }: { record: LogRecord; link: string; lines: number; more: () => void }) {
  const own = keyOf(record);
  return (
    <Shown of={useLogContext(link, lines)} rows={4}>
      {({ before, from }) => (
        <div className="log-context" role="group" aria-label="lines around the record">
          {[...before, ...from].map((each, at) => (
            <div key={at} className={keyOf(each) === own ? "own" : undefined}>
              <Line record={each} columns={[]} />
            </div>
          ))}
          <Button size="compact-xs" variant="subtle" disabled={lines >= 270} onClick={more}>
            more lines
          </Button>
        </div>
      )}
    </Shown>
  );
}

/** A line that is JSON, set out; any other as it is. */
function pretty(body: string): string {
  if (!/^\s*[[{]/.test(body)) return body;
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
