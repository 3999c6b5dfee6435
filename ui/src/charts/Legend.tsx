/** The names of a chart's lines: a click shows one alone, with Ctrl it hides or shows one. */

import { format } from "@/model/units";
import type { Line } from "./TimeSeries";

interface Props {
  readonly lines: readonly Line[];
  readonly unit?: string;
  readonly hidden: ReadonlySet<string>;
  readonly onChange: (hidden: ReadonlySet<string>) => void;
}

export function Legend({ lines, unit, hidden, onChange }: Props) {
  const pick = (name: string, alone: boolean) => {
    if (!alone) return onChange(toggled(hidden, name));
    const others = lines.map((line) => line.name).filter((each) => each !== name);
    onChange(new Set(others.every((each) => hidden.has(each)) && others.length > 0 ? [] : others));
  };
  return (
    <div className="legend" role="group" aria-label="legend" tabIndex={0}>
      {lines.map(({ name, colour, values, unit: own }) => (
        <button
          key={name}
          type="button"
          aria-pressed={!hidden.has(name)}
          title={`${name}\nclick: this one alone; Ctrl click: hide or show`}
          onClick={(event) => pick(name, !(event.ctrlKey || event.metaKey))}
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

function toggled(hidden: ReadonlySet<string>, name: string): ReadonlySet<string> {
  const after = new Set(hidden);
  if (!after.delete(name)) after.add(name);
  return after;
}
