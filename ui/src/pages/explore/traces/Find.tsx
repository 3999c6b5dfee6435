import { Button, Group, TextInput } from "@mantine/core";
import { following, type Row } from "@/model/trace";

interface Props {
  readonly rows: readonly Row[];
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly found: readonly number[];
  readonly errors: readonly number[];
  readonly at: number;
  readonly onPick: (row: number) => void;
}

/** A search within the trace; Enter goes to the next span that has all words, Shift Enter to the one before. */
export function Find({ rows, text, onText, found, errors, at, onPick }: Props) {
  const go = (among: readonly number[], direction: 1 | -1) => {
    const next = following(among, at, direction);
    if (next !== null) onPick(next);
  };
  return (
    <Group gap={8} pb={6}>
      <TextInput
        size="xs"
        aria-label="find in this trace"
        placeholder="find an operation, a service, an attribute"
        value={text}
        onChange={(event) => onText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Enter" && go(found, event.shiftKey ? -1 : 1)}
        style={{ flex: "0 1 300px" }}
      />
      {text && (
        <span className={found.length ? "quiet" : "warn"} role="status">
          {found.length} of {rows.length} spans
        </span>
      )}
      {found.length > 0 && (
        <Button size="compact-xs" variant="subtle" onClick={() => go(found, 1)}>
          next
        </Button>
      )}
      {errors.length > 0 && (
        <Button size="compact-xs" variant="subtle" color="red" onClick={() => go(errors, 1)}>
          next error
        </Button>
      )}
      <span className="faint hide-small" style={{ marginLeft: "auto", fontSize: 12 }}>
        ↑ ↓ go · ← → fold · n next found · e next error · double click: its time
      </span>
    </Group>
  );
}
