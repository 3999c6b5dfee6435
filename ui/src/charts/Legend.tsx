/** The names of a chart's lines: a click shows one alone, with Ctrl it hides or shows one. */

import { format } from "@/model/units";
import { hiddenAfter } from "./hidden";
import type { Line } from "./TimeSeries";

interface Props {
  readonly lines: readonly Line[];
  readonly unit?: string;
  readonly hidden: ReadonlySet<string>;
  readonly onChange: (hidden: ReadonlySet<string>) => void;
}

export function Legend({ lines, unit, hidden, onChange }: Props) {
  const names = lines.map(({ name }) => name);
  return (
    <div className="legend" role="group" aria-label="legend" tabIndex={0}>
      {lines.map(({ name, colour, values, unit: own }) => (
        <button
          key={name}
          type="button"
          aria-pressed={!hidden.has(name)}
          title={`${name}\nclick: this one alone; Ctrl click: hide or show`}
          onClick={({ ctrlKey, metaKey }) => onChange(hiddenAfter(names, hidden, name, ctrlKey || metaKey))}
        >
          <i style={{ background: colour }} />
          <span className="cut" style={{ maxWidth: 420 }}>
            {name}
          </span>
          <span className="quiet">
            {format(
              values.findLast((value) => value !== null),
              own ?? unit,
            )}
          </span>
        </button>
      ))}
    </div>
  );
}
