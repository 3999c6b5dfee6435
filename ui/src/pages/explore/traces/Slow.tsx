import { Button, Group, SegmentedControl, TextInput } from "@mantine/core";
import { useEffect, useState } from "react";
import { type Explained, type Reason, type Spent, useExplain, useOperations } from "@/api/traces";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { useTime, useUrl } from "@/components/time";
import { type Asked, durationText, narrowed, reasonTerm, usualLimit } from "@/model/tracesearch";
import { format } from "@/model/units";

interface Props {
  readonly asked: Asked;
  readonly onAsk: (values: Partial<Asked>, more?: Readonly<Record<string, string>>) => void;
}

/** Where slow (or failed) traces spend their time, and what they have that the others have not; each row narrows the search. */
export function Slow({ asked, onAsk }: Props) {
  const { span } = useTime();
  const [why, setWhy] = useUrl("why");
  const [from, setFrom] = useUrl("slow");
  const failed = why === "failed";
  const operations = useOperations(span, asked.service).data?.rows;
  const usual = operations ? durationText(usualLimit(operations) * 1e6) : "";
  const least = asked.min || from || usual;
  const [draft, setDraft] = useState(least);
  useEffect(() => setDraft(least), [least]);
  // How long the traces took is what is asked about: those of all lengths are looked at.
  const explained = useExplain({ ...asked, min: "", max: "" }, span, least, failed);
  const word = failed ? "failed" : "slow";
  const narrow = (values: Partial<Asked>) =>
    onAsk({ ...values, ...(failed ? { errors: true } : { min: least }) }, { view: "" });
  return (
    <Panel
      title={`What makes these ${word}`}
      note={failed ? "" : `a trace is slow when a span that matches took ${least}`}
    >
      <Group gap={8}>
        <SegmentedControl
          size="xs"
          aria-label="explained"
          data={[
            { value: "", label: "slow" },
            { value: "failed", label: "failed" },
          ]}
          value={why}
          onChange={setWhy}
        />
        {!failed && (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              if (asked.min) onAsk({ min: "" }, { slow: draft });
              else setFrom(draft, true);
            }}
            style={{ display: "flex", gap: 8 }}
          >
            <TextInput
              size="xs"
              aria-label="slow from"
              value={draft}
              onChange={(event) => setDraft(event.currentTarget.value.trim())}
              style={{ width: 100 }}
            />
            <Button size="compact-sm" type="submit" variant="default">
              look again
            </Button>
          </form>
        )}
      </Group>
      <Shown of={explained} rows={8}>
        {(told) => <Told told={told} word={word} onNarrow={narrow} query={asked.q} />}
      </Shown>
    </Panel>
  );
}

interface ToldProps {
  readonly told: Explained;
  readonly word: string;
  readonly query: string;
  readonly onNarrow: (values: Partial<Asked>) => void;
}

function Told({ told, word, query, onNarrow }: ToldProps) {
  if (!told.slow || !told.other)
    return (
      <Nothing title={told.slow ? `Every trace that matches is ${word}` : `No trace that matches is ${word}`}>
        {told.slow
          ? "There is none to compare them with: look at a longer time, or call less of them slow."
          : "Call shorter ones slow, or look at another time."}
      </Nothing>
    );
  return (
    <>
      <p className="quiet">
        {told.slow} {word} traces beside {told.other} others
        {told.slow > told.sampled.slow || told.other > told.sampled.other
          ? `; ${told.sampled.slow} and ${told.sampled.other} of them were looked at`
          : ""}
        . A click on a row shows the {word} traces that have it.
      </p>
      <div className="grid2">
        <div>
          <h3 className="trace-title">values that tell them apart</h3>
          {told.reasons.length ? (
            <Table
              label={`what ${word} traces have`}
              columns={reasonColumns(word, query, onNarrow)}
              rows={told.reasons}
              id={(each) => `${each.key}=${each.value}`}
            />
          ) : (
            <Nothing title="No value does">Whatever it is, it comes with every kind of request.</Nothing>
          )}
        </div>
        <div>
          <h3 className="trace-title">where they spend their time</h3>
          {told.operations.length ? (
            <Table
              label={`where ${word} traces spend their time`}
              columns={spentColumns(onNarrow)}
              rows={told.operations}
              id={(each) => `${each.service} ${each.operation}`}
            />
          ) : (
            <Nothing title="They take no longer than the others" />
          )}
        </div>
      </div>
    </>
  );
}

function reasonColumns(
  word: string,
  query: string,
  onNarrow: (values: Partial<Asked>) => void,
): readonly Column<Reason>[] {
  const ask = ({ key, value, service, operation }: Reason) =>
    key === "operation" ? { service, op: operation } : { q: narrowed(query, reasonTerm(key, value)) };
  return [
    {
      title: "value",
      cell: (each) => (
        <button type="button" className="link" onClick={() => onNarrow(ask(each))}>
          <code>
            {each.key} = {each.value}
          </code>
        </button>
      ),
    },
    {
      title: "of",
      cell: ({ service, operation, evidence, also }) => (
        <span className="quiet" title={[`${service} ${operation}`, ...also].join("\n")}>
          {evidence === "span" ? "spans" : "traces"} of {service} {operation}
        </span>
      ),
      small: false,
    },
    {
      title: word,
      cell: ({ slow_share }) => format(slow_share, "percentunit"),
      by: (each) => each.slow_share,
      number: true,
    },
    {
      title: "others",
      cell: ({ other_share }) => format(other_share, "percentunit"),
      by: (each) => each.other_share,
      number: true,
    },
    {
      title: "explains",
      cell: ({ explained }) => <Share of={explained} />,
      by: (each) => each.explained,
      number: true,
    },
  ];
}

function spentColumns(onNarrow: (values: Partial<Asked>) => void): readonly Column<Spent>[] {
  return [
    {
      title: "operation",
      cell: ({ service, operation }) => (
        <button type="button" className="link" onClick={() => onNarrow({ service, op: operation })}>
          {service} {operation}
        </button>
      ),
    },
    { title: "in these", cell: ({ slow_ns }) => format(slow_ns, "ns"), by: (each) => each.slow_ns, number: true },
    { title: "in others", cell: ({ other_ns }) => format(other_ns, "ns"), by: (each) => each.other_ns, number: true },
    { title: "of the difference", cell: ({ share }) => <Share of={share} />, by: (each) => each.share, number: true },
  ];
}

/** To a tenth of a percent: what is left of a calculation is none of a difference. */
function Share({ of }: { of: number }) {
  const share = Math.round(of * 1000) / 1000 || 0;
  return (
    <span className="trace-length">
      <i style={{ width: `${Math.max(0, Math.min(100, share * 100))}%` }} />
      <span>{format(share, "percentunit")}</span>
    </span>
  );
}
