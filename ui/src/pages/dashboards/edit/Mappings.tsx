import { ActionIcon, Button, Select, TextInput } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { type FieldValue, mappingsOf, writtenMappings } from "@/model/dashboard/panelform";
import type { Mapping } from "@/model/dashboard/types";
import { Colour } from "./Field";
import { Limit } from "./Limit";

const TYPES = [
  { value: "value", label: "the value" },
  { value: "range", label: "from … to" },
  { value: "regex", label: "the pattern" },
  { value: "special", label: "special" },
];
const SPECIAL = ["null", "nan", "null+nan", "true", "false", "empty"];
const NEW: Mapping = { type: "value", match: "", from: null, to: null, text: "", colour: null };

interface Props {
  readonly label: string;
  readonly value: FieldValue;
  readonly change: (value: FieldValue) => void;
}

/** What is shown instead of which values, and in which colour. */
export function Mappings({ label, value, change }: Props) {
  const all = mappingsOf(value);
  const put = (next: readonly Mapping[]) => change(writtenMappings(next));
  return (
    <fieldset className="fields">
      <legend>{label}</legend>
      {all.map((each, at) => (
        <One
          key={`${at} of ${all.length}`}
          number={at + 1}
          of={each}
          change={(next) => put(all.with(at, next))}
          remove={() => put(all.toSpliced(at, 1))}
        />
      ))}
      <Button size="compact-xs" variant="default" onClick={() => put([...all, { ...NEW, match: freeOf(all) }])}>
        another value
      </Button>
    </fieldset>
  );
}

/** The next whole number that is mapped to nothing yet: of two of one value only the first holds. */
function freeOf(all: readonly Mapping[]): string {
  const taken = new Set(all.map(({ match }) => match));
  return String(Array.from({ length: all.length + 1 }, (_, at) => at).find((each) => !taken.has(String(each))) ?? 0);
}

interface OneProps {
  readonly number: number;
  readonly of: Mapping;
  readonly change: (next: Mapping) => void;
  readonly remove: () => void;
}

function One({ number, of, change, remove }: OneProps) {
  const text = (value: string | null, said: string, set: (text: string) => Mapping) => (
    <TextInput
      size="xs"
      aria-label={`${said}, mapping ${number}`}
      placeholder={said}
      value={value ?? ""}
      onChange={(event) => change(set(event.currentTarget.value))}
    />
  );
  const limit = (name: "from" | "to") => (
    <Limit
      label={`${name}, mapping ${number}`}
      hint={name}
      value={of[name]}
      change={(value) => change({ ...of, [name]: value })}
    />
  );
  return (
    <div className="fieldrow">
      <Select
        size="xs"
        aria-label={`kind, mapping ${number}`}
        allowDeselect={false}
        data={TYPES}
        value={of.type}
        onChange={(type) =>
          type && change({ ...of, type: type as Mapping["type"], match: type === "special" ? "null" : of.match })
        }
      />
      {of.type === "range" && limit("from")}
      {of.type === "range" && limit("to")}
      {of.type === "special" && (
        <Select
          size="xs"
          aria-label={`which, mapping ${number}`}
          allowDeselect={false}
          data={SPECIAL}
          value={of.match}
          onChange={(match) => match && change({ ...of, match })}
        />
      )}
      {(of.type === "value" || of.type === "regex") && text(of.match, "which", (match) => ({ ...of, match }))}
      {text(of.text, "shown as", (shown) => ({ ...of, text: shown || null }))}
      <Colour
        quiet
        label={`colour, mapping ${number}`}
        value={of.colour ?? ""}
        change={(colour) => change({ ...of, colour: colour || null })}
      />
      <ActionIcon size="sm" variant="subtle" color="gray" aria-label={`take away mapping ${number}`} onClick={remove}>
        <IconX size={13} />
      </ActionIcon>
    </div>
  );
}
