import { Spark } from "@/charts/Spark";
import { figures } from "@/model/dashboard/figures";
import { bool, one, text } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";
import { Linked } from "./Linked";

/** Big numbers, each with its name and its course; also singlestats of old. */
export default function Stat({ panel, frames, height, leads }: PanelProps) {
  const { options } = panel;
  const all = figures(frames, options);
  const mode = one(options.colorMode, ["value", "background", "background_solid", "none"]);
  const graph = options.graphMode !== "none";
  const texts = text(options.textMode, "auto");
  const named = texts === "name" || texts === "value_and_name" || (texts === "auto" && all.length > 1);
  const down = options.orientation === "horizontal";
  const filled = mode.startsWith("background");
  const size = Math.max(16, Math.min(38, height / (named ? 3.2 : 2.4)));
  return (
    <div className="stats" style={{ gridTemplateColumns: down ? "1fr" : undefined, minHeight: height }}>
      {all.map(({ title, value, shown, colour, course, spot }, at) => (
        <div
          key={`${at} ${title}`}
          className="stat"
          style={{ background: filled && colour ? `color-mix(in srgb, ${colour} 24%, var(--panel))` : undefined }}
        >
          {named && <span className={texts === "name" ? "" : "quiet cut"}>{title}</span>}
          {texts !== "name" && (
            <b style={{ fontSize: size, color: mode === "value" ? inked(colour) : undefined }}>
              <Linked spot={spot} leads={leads}>
                {text(options.prefix)}
                {shown.text}
                {text(options.postfix)}
              </Linked>
            </b>
          )}
          {graph && course.length > 1 && value !== null && (
            <Spark
              values={course}
              label={`${title || panel.title} over time`}
              width={150}
              height={Math.max(18, Math.min(40, height / 3.5))}
              colour={colour || undefined}
            />
          )}
          {bool(options.showPercentChange) && change(course) && <span className="quiet">{change(course)}</span>}
        </div>
      ))}
    </div>
  );
}

/** A colour for letters: nearer to the ink, so that it can be read on the page's ground. */
function inked(colour: string): string | undefined {
  return colour ? `color-mix(in oklab, ${colour} 62%, var(--ink))` : undefined;
}

function change(course: readonly (number | null)[]): string {
  const known = course.filter((value): value is number => value !== null);
  const [first, last] = [known[0], known.at(-1)];
  if (!first || last === undefined) return "";
  const share = (100 * (last - first)) / Math.abs(first);
  return `${share >= 0 ? "+" : ""}${share.toFixed(1)} %`;
}
