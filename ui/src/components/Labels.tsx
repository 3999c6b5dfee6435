/** Labels as small words; those that were named beside them may be left out. */

import type { Labels as Pairs } from "@/api/prometheus";

export function Labels({ of, without = [] }: { of: Pairs; without?: readonly string[] }) {
  return (
    <span style={{ display: "inline-flex", flexWrap: "wrap", gap: 4 }}>
      {Object.entries(of)
        .filter(([name]) => !without.includes(name))
        .map(([name, value]) => (
          <span key={name} className="label cut" style={{ maxWidth: 320 }} title={`${name}="${value}"`}>
            {name}={value}
          </span>
        ))}
    </span>
  );
}
