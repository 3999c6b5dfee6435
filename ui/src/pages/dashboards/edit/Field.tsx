import {
  Autocomplete,
  Checkbox,
  MultiSelect,
  NumberInput,
  Select,
  TagsInput,
  Textarea,
  TextInput,
} from "@mantine/core";
import { cssColour, NAMED } from "@/model/colours";
import type { PanelField } from "@/model/dashboard/panelfields";
import type { FieldValue } from "@/model/dashboard/panelform";
import { UNITS } from "@/model/units";
import { Mappings } from "./Mappings";
import { Thresholds } from "./Thresholds";

interface Props {
  readonly field: PanelField;
  readonly value: FieldValue;
  readonly change: (value: FieldValue) => void;
}

/** One field of a panel's form, asked for as its kind is. */
export function Field({ field: { label, kind, choices = [], usual }, value, change }: Props) {
  const words = Array.isArray(value) ? (value as readonly string[]) : [];
  const said = typeof value === "string" ? value : value === null ? "" : String(value);
  switch (kind) {
    case "long":
      return (
        <Textarea
          size="xs"
          label={label}
          autosize
          maxRows={14}
          value={said}
          onChange={(event) => change(event.currentTarget.value)}
        />
      );
    case "number":
      return (
        <NumberInput
          size="xs"
          label={label}
          hideControls
          placeholder={usual === undefined ? "auto" : String(usual)}
          value={said}
          onChange={(next) => change(typeof next === "number" ? next : next === "" ? null : value)}
        />
      );
    case "switch":
      return (
        <Checkbox
          size="xs"
          label={label}
          checked={value === true}
          onChange={(event) => change(event.currentTarget.checked)}
        />
      );
    case "choice":
    case "calc":
      return (
        <Select
          size="xs"
          label={label}
          placeholder="as the panel does"
          data={offered(choices, said)}
          value={said || (usual === "" ? "" : null)}
          allowDeselect={false}
          clearable={usual === undefined}
          onChange={(next) => change(next)}
        />
      );
    case "several":
      return (
        <MultiSelect
          size="xs"
          label={label}
          data={words.reduce((all, each) => offered(all.map(pair), each), offered(choices, ""))}
          value={[...words]}
          onChange={change}
        />
      );
    case "words":
      return <TagsInput size="xs" label={label} value={[...words]} onChange={change} />;
    case "unit":
      return (
        <Select
          size="xs"
          label={label}
          searchable
          clearable
          selectFirstOptionOnChange
          selectFirstOptionOnDropdownOpen // or Mantine forgets what is marked, when the list opens slower than one types
          data={[...new Set([...UNITS, ...(said ? [said] : [])])]}
          value={said || null}
          onChange={(next) => change(next)}
        />
      );
    case "colour":
      return <Colour label={label} value={said} change={change} />;
    case "thresholds":
      return <Thresholds label={label} value={value} change={change} />;
    case "mappings":
      return <Mappings label={label} value={value} change={change} />;
    default:
      return <TextInput size="xs" label={label} value={said} onChange={(event) => change(event.currentTarget.value)} />;
  }
}

const pair = ({ value, label }: { value: string; label: string }) => [value, label] as const;

/** The choices, and what is written where it is none of them. */
function offered(choices: NonNullable<PanelField["choices"]>, written: string): { value: string; label: string }[] {
  const known = written === "" || choices.some(([value]) => value === written);
  return [...choices, ...(known ? [] : [[written, written] as const])].map(([value, label]) => ({ value, label }));
}

interface ColourProps {
  readonly label: string;
  /** Whether the label stands above it, or is only said. */
  readonly quiet?: boolean;
  readonly value: string;
  readonly change: (value: string) => void;
}

/** A name of Grafana's, or any colour of CSS. */
export function Colour({ label, quiet = false, value, change }: ColourProps) {
  return (
    <Autocomplete
      size="xs"
      {...(quiet ? { "aria-label": label } : { label })}
      placeholder="green, #4a88d4 …"
      data={Object.keys(NAMED)}
      leftSection={<i className="dot" style={{ background: cssColour(value) || "transparent" }} />}
      renderOption={({ option }) => (
        <span>
          <i className="dot" style={{ background: cssColour(option.value), marginRight: 8 }} />
          {option.value}
        </span>
      )}
      value={value}
      onChange={change}
    />
  );
}
