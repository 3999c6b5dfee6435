import { hiddenAfter } from "@/charts/hidden";
import type { Line } from "@/charts/TimeSeries";
import { calcName, reduced } from "@/model/dashboard/reduce";
import type { FieldConfig } from "@/model/dashboard/types";
import { format } from "@/model/units";

interface Props {
  readonly lines: readonly Line[];
  readonly calcs: readonly string[];
  readonly config: FieldConfig;
  readonly hidden: ReadonlySet<string>;
  readonly onChange: (hidden: ReadonlySet<string>) => void;
}

/** A legend with numbers: a click on a name shows it alone, or all again; with Ctrl it hides or shows one. */
export function LegendTable({ lines, calcs, config, hidden, onChange }: Props) {
  const names = lines.map(({ name }) => name);
  return (
    <table className="table" style={{ fontSize: 12 }} aria-label="legend">
      <thead>
        <tr>
          <th>name</th>
          {calcs.map((calc) => (
            <th key={calc} className="number">
              {calcName(calc)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {lines.map(({ name, colour, values, unit }) => (
          <tr key={name} style={{ opacity: hidden.has(name) ? 0.4 : 1 }}>
            <td style={{ padding: "0 10px 0 0", maxWidth: 0, minWidth: 48, width: "100%" }} className="cut">
              <button
                type="button"
                className="plain"
                aria-pressed={!hidden.has(name)}
                title={`${name}\nclick: this one alone; Ctrl click: hide or show`}
                onClick={({ ctrlKey, metaKey }) => onChange(hiddenAfter(names, hidden, name, ctrlKey || metaKey))}
              >
                <i className="dot" style={{ background: colour, marginRight: 6 }} />
                {name}
              </button>
            </td>
            {calcs.map((calc) => (
              <td key={calc} className="number" style={{ padding: "0 0 0 10px" }}>
                {format(reduced(values, calc), unit ?? config.unit, config.decimals)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
