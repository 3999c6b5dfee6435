import { useElementSize } from "@mantine/hooks";
import { Spark } from "@/charts/Spark";
import { figures } from "@/model/dashboard/figures";
import { bool, one, text } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";
import { Linked } from "./Linked";
import { NoFigure } from "./NoFigure";

const [GAP, PADDING, LOW, MOST] = [8, 4, 44, 38]; // pixels
const LETTER = 0.62; // of its size is a letter wide

/** Big numbers, each with its name and its course; also singlestats of old. */
export default function Stat({ panel, frames, height, leads }: PanelProps) {
  const { options } = panel;
  const all = figures(frames, options);
  const mode = one(options.colorMode, ["value", "background", "background_solid", "none"]);
  const graph = options.graphMode !== "none";
  const texts = text(options.textMode, "auto");
  const named = texts === "name" || texts === "value_and_name" || (texts === "auto" && all.length > 1);
  const affixed = (shown: string) => `${text(options.prefix)}${shown}${text(options.postfix)}`;
  const filled = mode.startsWith("background");
  const { ref, width } = useElementSize<HTMLDivElement>();
  const longest = Math.max(1, ...all.map(({ shown }) => affixed(shown.text).length));
  const { columns, wide, tall, size } = boxes(all.length, width, height, longest, named, options.orientation);
  const beside = named && tall < LOW;
  const drawn = graph && tall >= (named ? 90 : 64); // a line that is too low tells nothing
  if (all.length === 0) return <NoFigure options={panel.options} />;
  return (
    <div
      ref={ref}
      className="stats"
      style={{ gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`, gridAutoRows: tall, minHeight: height }}
    >
      {all.map(({ title, value, shown, colour, course, spot }, at) => (
        <div
          key={`${at} ${title}`}
          className="stat"
          style={{
            gridAutoFlow: beside ? "column" : undefined,
            background: filled && colour ? `color-mix(in srgb, ${colour} 24%, var(--panel))` : undefined,
          }}
        >
          {named && <span className={texts === "name" ? "" : filled ? "cut" : "quiet cut"}>{title}</span>}
          {texts !== "name" && (
            <b style={{ fontSize: size, color: mode === "value" ? inked(colour) : undefined }}>
              <Linked spot={spot} leads={leads}>
                {affixed(shown.text)}
              </Linked>
            </b>
          )}
          {drawn && course.length > 1 && value !== null && (
            <Spark
              values={course}
              label={`${title || panel.title} over time`}
              width={Math.max(40, wide)}
              height={Math.max(18, Math.min(60, tall / 3.5))}
              colour={colour || undefined}
            />
          )}
          {bool(options.showPercentChange) && change(course) && <span className="quiet">{change(course)}</span>}
        </div>
      ))}
    </div>
  );
}

/** How many stand beside each other so that all have room and their numbers are as large as can be; what room each then has. */
function boxes(of: number, width: number, height: number, letters: number, named: boolean, orientation: unknown) {
  const counts = Array.from({ length: Math.max(1, of) }, (_, at) => at + 1);
  const possible = orientation === "horizontal" ? [1] : orientation === "vertical" ? [Math.max(1, of)] : counts;
  const all = possible.map((columns) => {
    const lines = Math.ceil(of / columns) || 1;
    const wide = (width - GAP * (columns - 1)) / columns - 2 * PADDING;
    const tall = Math.max(22, (height - GAP * (lines - 1)) / lines);
    const beside = named && tall < LOW;
    const high = tall / (named && !beside ? 3.2 : 2.4);
    const size = Math.max(12, Math.min(MOST, high, wide / (letters * LETTER * (beside ? 2 : 1))));
    return { columns, wide, tall, size };
  });
  // Of those with numbers of one size the one whose boxes are the widest.
  return all.reduce((best, each) => (each.size > best.size + 0.5 ? each : best));
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
