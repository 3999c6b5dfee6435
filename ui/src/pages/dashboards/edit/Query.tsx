import { ActionIcon, Checkbox, Select, Textarea, TextInput } from "@mantine/core";
import { IconArrowDown, IconArrowUp, IconEye, IconEyeOff, IconX } from "@tabler/icons-react";
import { Suspense } from "react";
import { lazily } from "@/components/lazily";
import { Loading } from "@/components/states";
import { bool, text } from "@/model/dashboard/options";
import { type Answer, answerOf, kindOf, textOf, withAnswer, withText } from "@/model/dashboard/queries";
import type { Json } from "@/model/dashboard/types";
import { JsonBox } from "./JsonBox";

const PromQLEditor = lazily(() => import("@/components/PromQLEditor"));

const KINDS: Readonly<Record<string, string>> = {
  prometheus: "PromQL",
  logs: "logs: LogQL or Lucene",
  traces: "traces: an id, a search, or TraceQL",
  expression: "an expression over other queries",
  dashboard: "what another panel asks",
};

interface Props {
  readonly panel: Json;
  readonly query: Json;
  /** `what` is the field that was typed into; nothing: a step of its own. */
  readonly change: (query: Json, what: string) => void;
  readonly run: () => void;
  readonly up: (() => void) | undefined;
  readonly down: (() => void) | undefined;
  readonly remove: () => void;
}

/** One query of a panel. */
export function Query({ panel, query, change, run, up, down, remove }: Props) {
  const kind = kindOf(panel, query);
  const name = text(query.refId) || "?";
  const hidden = bool(query.hide);
  const metrics = kind === "prometheus";
  return (
    <fieldset className="fields query" style={hidden ? { opacity: 0.7 } : undefined}>
      <legend>
        {name} <span className="quiet">{KINDS[kind] ?? "a source that cannot be asked here"}</span>
      </legend>
      <div className="fieldrow acts">
        <Act label={hidden ? `show ${name}` : `hide ${name}`} act={() => change({ ...query, hide: !hidden }, "")}>
          {hidden ? <IconEyeOff size={14} /> : <IconEye size={14} />}
        </Act>
        <Act label={`move ${name} up`} act={up}>
          <IconArrowUp size={14} />
        </Act>
        <Act label={`move ${name} down`} act={down}>
          <IconArrowDown size={14} />
        </Act>
        <Act label={`take away ${name}`} act={remove}>
          <IconX size={14} />
        </Act>
      </div>
      {metrics ? (
        <Suspense fallback={<Loading rows={1} />}>
          <PromQLEditor
            label={`query ${name}`}
            value={textOf(query)}
            onChange={(written) => written !== textOf(query) && change(withText(query, written), "text")}
            onRun={run}
          />
        </Suspense>
      ) : (
        <Textarea
          size="xs"
          autosize
          aria-label={`query ${name}`}
          spellCheck={false}
          styles={{ input: { fontFamily: "var(--mono)" } }}
          value={textOf(query)}
          onChange={(event) => change(withText(query, event.currentTarget.value), "text")}
          onBlur={run}
        />
      )}
      <Beside query={query} metrics={metrics} change={change} />
      <details>
        <summary>JSON of {name}</summary>
        <JsonBox
          label={`JSON of ${name}`}
          value={query}
          faultOf={(written) => (written.trim().startsWith("{") ? "" : "an object is wanted: { … }")}
          change={(value) => change(value as Json, "json")}
        />
      </details>
    </fieldset>
  );
}

/** What is asked beside the text. */
function Beside({ query, metrics, change }: Pick<Props, "query" | "change"> & { readonly metrics: boolean }) {
  const words = (key: string, label: string, hint: string) => (
    <TextInput
      size="xs"
      label={label}
      placeholder={hint}
      value={text(query[key])}
      onChange={(event) => change({ ...query, [key]: event.currentTarget.value }, key)}
    />
  );
  return (
    <div className="fieldrow beside">
      {words("refId", "name", "A")}
      {words("legendFormat", "legend", "{{job}}")}
      {metrics && (
        <>
          {words("interval", "min step", "15s")}
          <Select
            size="xs"
            label="answer"
            allowDeselect={false}
            data={["range", "instant", "both"]}
            value={answerOf(query)}
            onChange={(answer) => answer && change(withAnswer(query, answer as Answer), "")}
          />
          <Select
            size="xs"
            label="as"
            allowDeselect={false}
            data={[
              { value: "time_series", label: "series" },
              { value: "table", label: "table" },
              { value: "heatmap", label: "heatmap" },
            ]}
            value={text(query.format, "time_series")}
            onChange={(format) => change({ ...query, format }, "")}
          />
          <Checkbox
            size="xs"
            label="exemplars"
            checked={bool(query.exemplar)}
            onChange={(event) => change({ ...query, exemplar: event.currentTarget.checked }, "")}
          />
        </>
      )}
    </div>
  );
}

function Act({ label, act, children }: { label: string; act: (() => void) | undefined; children: React.ReactNode }) {
  return (
    <ActionIcon size="sm" variant="subtle" color="gray" aria-label={label} title={label} disabled={!act} onClick={act}>
      {children}
    </ActionIcon>
  );
}
