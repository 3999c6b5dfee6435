import { TextInput } from "@mantine/core";
import { useState } from "react";
import { maybe } from "@/model/dashboard/options";

interface Props {
  readonly label: string;
  readonly hint?: string;
  readonly value: number | null;
  readonly change: (value: number | null) => void;
}

/** A number that is taken once it is left: `-` and `0.` are none yet, and a step of thresholds would go elsewhere. */
export function Limit({ label, hint, value, change }: Props) {
  const [typed, type] = useState<string | null>(null);
  const take = () => {
    const limit = maybe(typed);
    if (limit !== undefined && limit !== value) change(limit);
    if (typed?.trim() === "" && value !== null) change(null);
    type(null);
  };
  return (
    <TextInput
      size="xs"
      inputMode="decimal"
      aria-label={label}
      placeholder={hint}
      value={typed ?? (value === null ? "" : String(value))}
      onChange={(event) => type(event.currentTarget.value)}
      onBlur={take}
      onKeyDown={({ key }) => key === "Enter" && take()}
    />
  );
}
