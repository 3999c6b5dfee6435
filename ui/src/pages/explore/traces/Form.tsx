import { Autocomplete, Button, Group, Switch, TextInput } from "@mantine/core";
import { type FormEvent, useEffect, useMemo, useState } from "react";
import { useOperations } from "@/api/traces";
import { Panel } from "@/components/Panel";
import { useTime } from "@/components/time";
import type { Asked } from "@/model/tracesearch";

interface Props {
  readonly asked: Asked;
  readonly onAsk: (values: Partial<Asked>) => void;
}

const NONE: Asked = { q: "", service: "", op: "", min: "", max: "", errors: false };

/** What is looked for; it is asked once Enter is pressed, so that half a word is not. */
export function Form({ asked, onAsk }: Props) {
  const { span, again } = useTime();
  const [draft, setDraft] = useState(asked);
  useEffect(() => setDraft(asked), [asked]);
  const rows = useOperations(span).data?.rows ?? [];
  const services = useMemo(() => [...new Set(rows.map(({ service }) => service))], [rows]);
  const operations = useMemo(
    () => [
      ...new Set(
        rows.filter(({ service }) => !draft.service || service === draft.service).map(({ operation }) => operation),
      ),
    ],
    [rows, draft.service],
  );
  const put = (values: Partial<Asked>) => setDraft((before) => ({ ...before, ...values }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    again();
    onAsk(draft);
  };
  return (
    <Panel
      title="Search"
      side={
        Object.values(asked).some(Boolean) && (
          <Button size="compact-xs" variant="subtle" onClick={() => onAsk(NONE)}>
            clear
          </Button>
        )
      }
    >
      <form onSubmit={submit} style={{ display: "grid", gap: 8 }}>
        <TextInput
          size="xs"
          aria-label="query"
          placeholder='status:error AND duration:>2s AND http.route:"/documents"'
          className="mono"
          value={draft.q}
          onChange={(event) => put({ q: event.currentTarget.value })}
        />
        <Group gap={8} align="center">
          <Autocomplete
            size="xs"
            aria-label="service"
            placeholder="any service"
            data={services}
            value={draft.service}
            onChange={(service) => put({ service })}
            onOptionSubmit={(service) => onAsk({ ...draft, service })}
            limit={100}
            style={{ flex: "1 1 150px" }}
          />
          <Autocomplete
            size="xs"
            aria-label="operation"
            placeholder="any operation"
            data={operations}
            value={draft.op}
            onChange={(op) => put({ op })}
            onOptionSubmit={(op) => onAsk({ ...draft, op })}
            limit={100}
            style={{ flex: "2 1 190px" }}
          />
          <TextInput
            size="xs"
            aria-label="least duration"
            placeholder="from 250ms"
            value={draft.min}
            onChange={(event) => put({ min: event.currentTarget.value.trim() })}
            style={{ flex: "0 1 100px" }}
          />
          <TextInput
            size="xs"
            aria-label="longest duration"
            placeholder="to 2s"
            value={draft.max}
            onChange={(event) => put({ max: event.currentTarget.value.trim() })}
            style={{ flex: "0 1 100px" }}
          />
          <Switch
            size="xs"
            label="errors only"
            checked={asked.errors}
            onChange={(event) => onAsk({ ...draft, errors: event.currentTarget.checked })}
          />
          <Button size="compact-sm" type="submit">
            search
          </Button>
        </Group>
      </form>
    </Panel>
  );
}
