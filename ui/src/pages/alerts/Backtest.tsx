/** A rule against what is stored: when it would have fired, who would have been told, and of which incidents. */

import { Button, Select, Textarea } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { type Backtest as Past, useBacktest } from "@/api/backtest";
import { useRules } from "@/api/rules";
import { Ago } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { useGoto, useTime, useUrl } from "@/components/time";
import { ruleFile } from "@/model/backtest";
import { formatDuration, roughly } from "@/model/timerange";
import { OnePast, Told } from "./OnePast";

const EXAMPLE = { name: "TooSlow", query: "your_metric > 5", duration: 120, labels: { severity: "high" } };

export function Backtest() {
  const [asked, setAsked] = useUrl("rules");
  const { span } = useTime();
  const past = useBacktest(asked, span);
  return (
    <>
      <Panel title="A rule against the past" note="in the range of time above">
        <Question key={asked} asked={asked} onAsk={(text) => setAsked(text, true)} busy={past.isFetching} />
      </Panel>
      {asked && (
        <Shown of={past} rows={8}>
          {(found) => (
            <>
              {found.rules.length === 0 && <Nothing title="Nothing to test">No rule of these raises alerts.</Nothing>}
              {found.rules.map((rule) => (
                <OnePast key={`${rule.group} ${rule.alert} ${rule.expr}`} past={rule} end={found.end} />
              ))}
              {found.rules.length > 1 && (
                <Panel title="All of them together">
                  <Told told={found.told} />
                </Panel>
              )}
              <Judged incidents={found.incidents} />
            </>
          )}
        </Shown>
      )}
    </>
  );
}

/** The rule: picked among those there are, and changed; or written. */
function Question({ asked, onAsk, busy }: { asked: string; onAsk: (text: string) => void; busy: boolean }) {
  const groups = useRules();
  const [text, setText] = useState(asked);
  const rules = (groups.data ?? []).flatMap((group) =>
    group.rules.filter(({ type }) => type === "alerting").map((rule) => ({ group, rule })),
  );
  return (
    <form
      style={{ display: "grid", gap: 8 }}
      onSubmit={(event) => {
        event.preventDefault();
        onAsk(text);
      }}
    >
      <Select
        size="xs"
        maw={420}
        aria-label="a rule that there is"
        placeholder="take a rule that there is, and change it"
        searchable
        nothingFoundMessage="no alerting rule is called so"
        data={rules.map(({ group, rule }, at) => ({ value: String(at), label: `${rule.name} (${group.name})` }))}
        value={null}
        onChange={(at) => {
          const found = rules[Number(at)];
          if (at !== null && found) setText(ruleFile(found.rule, found.group.interval));
        }}
      />
      <Textarea
        size="xs"
        autosize
        minRows={6}
        maxRows={24}
        aria-label="rules in YAML"
        placeholder={ruleFile(EXAMPLE, 60)}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          onAsk(text);
        }}
        styles={{ input: { fontFamily: "var(--mono)" } }}
      />
      <div>
        <Button size="compact-sm" type="submit" disabled={!text.trim()} loading={busy} title="Ctrl Enter">
          test it
        </Button>
      </div>
    </form>
  );
}

/** What of the incidents of that time the rules would have told. */
function Judged({ incidents: { caught, missed, noise } }: { incidents: Past["incidents"] }) {
  const goto = useGoto();
  const about = ({ id, title, created_at }: Past["incidents"]["missed"][number]) => (
    <>
      <Link to={goto(`/incidents/${id}`)}>{title}</Link>{" "}
      <span className="quiet">
        <Ago at={created_at} />
      </span>
    </>
  );
  return (
    <Panel title="Incidents of that time" note={`${caught.length} told, ${missed.length} missed`}>
      {caught.length + missed.length === 0 && (
        <div className="empty">There was none; what these rules would have raised is judged by nobody.</div>
      )}
      <ul className="sentence" style={{ margin: 0, paddingLeft: 18 }} aria-label="incidents that were told or missed">
        {caught.map((one) => (
          <li key={one.id}>
            <span className="good">told</span> {about(one)}{" "}
            <span className="quiet">
              by {one.alert}, {formatDuration(roughly(Math.abs(one.earlier)))} {one.earlier >= 0 ? "before" : "after"}{" "}
              it was opened
            </span>
          </li>
        ))}
        {missed.map((one) => (
          <li key={one.id}>
            <span className="warn">missed</span> {about(one)}
          </li>
        ))}
      </ul>
      {noise.length > 0 && (
        <div className="quiet">
          {noise.length} {noise.length === 1 ? "firing" : "firings"} in no incident of that time.
        </div>
      )}
    </Panel>
  );
}
