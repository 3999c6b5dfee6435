import { useComputedColorScheme, useMantineTheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { type PointerEvent, useEffect, useRef, useState } from "react";
import type { Waterfall } from "@/model/trace";

interface Props {
  readonly fall: Waterfall;
  readonly window: readonly [number, number];
  readonly onWindow: (window: readonly [number, number] | null) => void;
}

const HEIGHT = 46;
const LEAST_DRAG = 4;

/** All spans at once, a hair each; a drag chooses the time that is shown below, a double click all of it. */
export function Minimap({ fall, window: shown, onWindow }: Props) {
  const { ref, width } = useElementSize();
  const canvas = useRef<HTMLCanvasElement>(null);
  const scheme = useComputedColorScheme("light");
  const theme = useMantineTheme();
  const [drag, setDrag] = useState<readonly [number, number] | null>(null);

  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, fall, width);
  }, [fall, width, scheme, theme]);

  const timeAt = (x: number) => (Math.max(0, Math.min(width, x)) / (width || 1)) * fall.length;
  const place = (event: PointerEvent) => event.clientX - canvas.current!.getBoundingClientRect().left;
  const released = () => {
    if (!drag) return;
    setDrag(null);
    const [from, to] = [Math.min(...drag), Math.max(...drag)];
    if (to - from >= LEAST_DRAG) onWindow([timeAt(from), timeAt(to)]);
  };
  const [from, to] = drag ? [timeAt(Math.min(...drag)), timeAt(Math.max(...drag))] : shown;
  return (
    <div ref={ref} className="trace-map" style={{ height: HEIGHT }}>
      <canvas
        ref={canvas}
        role="img"
        aria-label={`all ${fall.rows.length} spans over the time of the trace`}
        style={{ width: "100%", height: HEIGHT }}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag([place(event), place(event)]);
        }}
        onPointerMove={(event) => drag && setDrag([drag[0], place(event)])}
        onPointerUp={released}
        onPointerCancel={() => setDrag(null)}
        onDoubleClick={() => onWindow(null)}
      />
      <div className="veil" style={{ left: 0, width: `${(100 * from) / fall.length}%` }} />
      <div className="veil" style={{ right: 0, width: `${100 - (100 * to) / fall.length}%` }} />
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, { rows, length, services }: Waterfall, width: number): void {
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(HEIGHT * density);
  const pen = canvas.getContext("2d")!;
  pen.scale(density, density);
  const tall = HEIGHT / rows.length;
  const bad = getComputedStyle(canvas).color;
  for (const { at, begin, end, span, failed } of rows) {
    pen.fillStyle = failed ? bad : services.get(span.service)!;
    pen.globalAlpha = failed ? 1 : 0.75;
    pen.fillRect(
      (begin / length) * width,
      at * tall,
      Math.max(1, ((end - begin) / length) * width),
      Math.max(1, Math.min(6, tall - 0.5)),
    );
  }
}
