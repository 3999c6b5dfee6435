/** The range of time that is looked at: usual ones, any two ends, back and on, and how often it is asked again. */

import { ActionIcon, Button, Group, Popover, SegmentedControl, Select, TextInput } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { IconChevronLeft, IconChevronRight, IconClock, IconRefresh, IconZoomOut } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import {
  absolute,
  dateTime,
  describe,
  isRange,
  moment,
  QUICK,
  type Range,
  shifted,
  zoomedOut,
} from "@/model/timerange";
import { useTime } from "./time";

const EVERY = ["", "5s", "10s", "30s", "1m", "5m"];

export function TimePicker() {
  const { range, span, now, setRange, refresh, setRefresh, again, utc } = useTime();
  const [open, setOpen] = useState(false);
  const back = () => setRange(shifted(span, -1));
  const on = () => setRange(shifted(span, 1));
  const out = () => setRange(zoomedOut(span, Date.now() / 1000));
  useHotkeys([
    ["t", () => setOpen((before) => !before)],
    ["r", again],
    ["[", back],
    ["]", on],
    ["-", out],
  ]);
  return (
    <Group gap={2} wrap="nowrap">
      <ActionIcon variant="subtle" color="gray" aria-label="earlier" onClick={back} className="hide-small">
        <IconChevronLeft size={16} />
      </ActionIcon>
      <Popover opened={open} onChange={setOpen} position="bottom-end" trapFocus returnFocus withinPortal>
        <Popover.Target>
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconClock size={14} />}
            onClick={() => setOpen(!open)}
            aria-label={`time range: ${describe(range, utc)}`}
          >
            {describe(range, utc)}
          </Button>
        </Popover.Target>
        <Popover.Dropdown>
          <Ends range={range} now={now} use={(next) => [setRange(next), setOpen(false)]} />
        </Popover.Dropdown>
      </Popover>
      <ActionIcon variant="subtle" color="gray" aria-label="later" onClick={on} className="hide-small">
        <IconChevronRight size={16} />
      </ActionIcon>
      <ActionIcon variant="subtle" color="gray" aria-label="zoom out" onClick={out} className="hide-small">
        <IconZoomOut size={16} />
      </ActionIcon>
      <ActionIcon variant="subtle" color="gray" aria-label="refresh now" onClick={again}>
        <IconRefresh size={16} />
      </ActionIcon>
      <Select
        size="xs"
        w={74}
        aria-label="refresh every"
        comboboxProps={{ withinPortal: true }}
        allowDeselect={false}
        data={EVERY.map((value) => ({ value, label: value || "off" }))}
        value={EVERY.includes(refresh) ? refresh : ""}
        onChange={(value) => setRefresh(value ?? "")}
      />
    </Group>
  );
}

function Ends({ range, now, use }: { range: Range; now: number; use: (range: Range) => void }) {
  const { utc, setUtc } = useTime();
  const [from, setFrom] = useState(range.from);
  const [to, setTo] = useState(range.to);
  useEffect(() => {
    setFrom(spoken(range.from, utc));
    setTo(spoken(range.to, utc));
  }, [range, utc]);
  const said = { from: meant(from, utc), to: meant(to, utc) };
  const wrong = isRange(said, now) ? "" : "two moments, the first before the second: now-6h, now/d, 2026-11-28 14:00";
  return (
    <form
      style={{ display: "grid", gap: 8, width: 300 }}
      onSubmit={(event) => {
        event.preventDefault();
        if (!wrong) use(said);
      }}
    >
      <Group gap={4}>
        {QUICK.map((length) => (
          <Button
            key={length}
            size="compact-xs"
            variant={range.from === `now-${length}` && range.to === "now" ? "filled" : "default"}
            onClick={() => use({ from: `now-${length}`, to: "now" })}
          >
            {length}
          </Button>
        ))}
      </Group>
      <TextInput
        size="xs"
        label="from"
        value={from}
        onChange={(event) => setFrom(event.currentTarget.value)}
        data-autofocus
      />
      <TextInput size="xs" label="to" value={to} onChange={(event) => setTo(event.currentTarget.value)} error={wrong} />
      <Group justify="space-between">
        <SegmentedControl
          size="xs"
          aria-label="time zone"
          data={["local", "UTC"]}
          value={utc ? "UTC" : "local"}
          onChange={(zone) => setUtc(zone === "UTC")}
        />
        <Button size="compact-sm" type="submit" disabled={wrong !== ""}>
          show
        </Button>
      </Group>
    </form>
  );
}

/** A moment of the URL as people read it, and back. */
function spoken(text: string, utc: boolean): string {
  const at = moment(text, 0);
  return text.startsWith("now") || at === null ? text : dateTime(at, utc);
}

function meant(text: string, utc: boolean): string {
  const plain = text.trim();
  if (!/^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?$/.test(plain)) return plain;
  const [day, time = "00:00"] = plain.split(/[ T]/);
  const seconds = moment(`${day}T${time}${utc ? "Z" : ""}`, 0);
  return seconds === null ? plain : absolute({ start: seconds, end: seconds }).from;
}
