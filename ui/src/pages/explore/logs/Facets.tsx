/** The most frequent values of some fields among the records that fit: a click asks for one, with Shift against it. */

import { ActionIcon, Select } from "@mantine/core";
import { IconMinus, IconX } from "@tabler/icons-react";
import { type LogQuery, useLogFacets } from "@/api/logs";
import { Nothing, Shown } from "@/components/states";
import { useTime } from "@/components/time";
import { standing, withoutTerm, withTerm } from "@/model/lucene";
import { format } from "@/model/units";

interface Props {
  readonly wanted: LogQuery;
  readonly fields: readonly string[];
  readonly names: readonly string[];
  readonly onQuery: (query: string) => void;
  readonly onFields: (fields: readonly string[]) => void;
}

export function Facets({ wanted, fields, names, onQuery, onFields }: Props) {
  const { span } = useTime();
  const rest = names.filter((name) => !fields.includes(name));
  return (
    <div className="log-facets">
      <Shown of={useLogFacets(wanted, span, fields)} rows={6}>
        {({ facets }) => (
          <>
            {fields.map((field) => (
              <section key={field} aria-label={`values of ${field}`}>
                <h3>
                  <span className="cut">{field}</span>
                  <ActionIcon
                    size="xs"
                    variant="subtle"
                    color="gray"
                    aria-label={`hide ${field}`}
                    onClick={() => onFields(fields.filter((each) => each !== field))}
                  >
                    <IconX size={11} />
                  </ActionIcon>
                </h3>
                {(facets[field] ?? []).map((each) => (
                  <Value key={each.value} field={field} {...each} query={wanted.query} onQuery={onQuery} />
                ))}
                {facets[field]?.length === 0 && <div className="faint">none has it</div>}
              </section>
            ))}
            {fields.length === 0 && <Nothing title="No field chosen">Choose one below.</Nothing>}
          </>
        )}
      </Shown>
      <Select
        size="xs"
        placeholder="another field"
        aria-label="another field"
        searchable
        value={null}
        data={[...rest]}
        onChange={(name) => name && onFields([...fields, name])}
        nothingFoundMessage="no such field on the lines shown"
      />
    </div>
  );
}

function Value({
  field,
  value,
  records,
  query,
  onQuery,
}: {
  field: string;
  value: string;
  records: number;
  query: string;
  onQuery: (query: string) => void;
}) {
  const now = standing(query, field, value);
  const toggle = (out: boolean) =>
    onQuery(now === (out ? "out" : "in") ? withoutTerm(query, field, value) : withTerm(query, field, value, out));
  return (
    <div className="value">
      <button
        type="button"
        className="cut"
        aria-pressed={now === "in"}
        title={`${field}: ${value}`}
        onClick={(event) => toggle(event.shiftKey)}
      >
        {value}
      </button>
      <span className="quiet">{format(records, "short")}</span>
      <button type="button" aria-label={`without ${value}`} aria-pressed={now === "out"} onClick={() => toggle(true)}>
        <IconMinus size={11} />
      </button>
    </div>
  );
}
