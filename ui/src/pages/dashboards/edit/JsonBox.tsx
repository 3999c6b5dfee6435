import { Textarea } from "@mantine/core";
import { useState } from "react";
import { useTold } from "./unread";

interface Props {
  readonly label: string;
  readonly value: unknown;
  /** Why a text cannot be taken; empty where it can. It is JSON by then. */
  readonly faultOf: (written: string) => string;
  readonly change: (value: unknown) => void;
  readonly rows?: number;
}

/** A part of a dashboard as its JSON: what is typed is taken as soon as it can be, and what cannot says why and is kept. */
export function JsonBox({ label, value, faultOf, change, rows = 4 }: Props) {
  const [typed, type] = useState<string | null>(null);
  const said = JSON.stringify(value, null, 2) ?? "";
  const written = typed ?? said;
  const fault = typed === null ? "" : syntaxOf(typed) || faultOf(typed);
  useTold(label, fault !== "");
  return (
    <Textarea
      size="xs"
      label={label}
      autosize
      minRows={rows}
      maxRows={24}
      spellCheck={false}
      styles={{ input: { fontFamily: "var(--mono)", color: "var(--ink)" }, error: { color: "var(--bad)" } }}
      value={written}
      error={fault || undefined}
      onChange={(event) => {
        const next = event.currentTarget.value;
        type(next);
        if (!syntaxOf(next) && !faultOf(next)) change(JSON.parse(next));
      }}
      onBlur={() => !fault && type(null)}
    />
  );
}

function syntaxOf(written: string): string {
  try {
    JSON.parse(written);
    return "";
  } catch (error) {
    return `no JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
}
