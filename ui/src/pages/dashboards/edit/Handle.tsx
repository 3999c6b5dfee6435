import { IconGripVertical } from "@tabler/icons-react";
import { type KeyboardEvent, type PointerEvent, useLayoutEffect, useRef } from "react";
import { cells, type Step } from "@/model/dashboard/layout";
import type { Panel, Place } from "@/model/dashboard/types";

interface Dragged {
  readonly panel: Panel;
  /** Where it would come to stand, while it is held. */
  readonly hold: (place: Place) => void;
  readonly release: () => void;
  readonly drop: (place: Place) => void;
}

interface Props extends Dragged {
  readonly nudge: (step: Step) => void;
  readonly edit: () => void;
  readonly remove: () => void;
}

const MOVES: Readonly<Record<string, readonly [plain: Step, withShift: Step]>> = {
  ArrowLeft: ["left", "narrower"],
  ArrowRight: ["right", "wider"],
  ArrowUp: ["up", "lower"],
  ArrowDown: ["down", "taller"],
};

/** What a panel is moved by: dragged, or with the arrow keys; with Shift these make it larger and smaller. */
export function Handle({ nudge, edit, remove, ...dragged }: Props) {
  const button = useRef<HTMLButtonElement>(null);
  const stays = useRef(false);
  // A panel that changes places with another loses the focus where the browser puts it elsewhere.
  useLayoutEffect(() => {
    if (stays.current) button.current?.focus({ preventScroll: true });
    stays.current = false;
  });
  const pressed = (event: KeyboardEvent) => {
    const [plain, withShift] = MOVES[event.key] ?? [];
    if (!plain || !withShift) {
      if (event.key === "Delete") remove();
      if (event.key === "Enter") edit();
      return;
    }
    event.preventDefault();
    stays.current = true;
    nudge(event.shiftKey ? withShift : plain);
  };
  const { title, type } = dragged.panel;
  const drag = useDrag(dragged, (place, right, down) => ({ ...place, x: place.x + right, y: place.y + down }));
  return (
    <button
      ref={button}
      type="button"
      className="plain grip"
      aria-label={`move ${title || type}`}
      title="drag; or arrow keys to move, with Shift to resize, Enter to edit, Delete to remove"
      onKeyDown={pressed}
      {...drag}
    >
      <IconGripVertical size={14} />
    </button>
  );
}

/** The corner that a panel is resized by with the pointer; with keys the handle does it. */
export function Size(dragged: Dragged) {
  const drag = useDrag(dragged, (place, right, down) => ({ ...place, w: place.w + right, h: place.h + down }));
  return <span className="corner" aria-hidden {...drag} />;
}

function useDrag({ panel, hold, release, drop }: Dragged, to: (place: Place, right: number, down: number) => Place) {
  const from = useRef<{ x: number; y: number; wide: number; place: Place } | null>(null);
  const placeAt = ({ clientX, clientY }: PointerEvent): Place | null => {
    if (!from.current) return null;
    const { x, y, wide, place } = from.current;
    const [right, down] = cells(clientX - x, clientY - y, wide);
    return right === 0 && down === 0 ? null : to(place, right, down);
  };
  const ended = () => {
    from.current = null;
    release();
  };
  return {
    onPointerDown: (event: PointerEvent<HTMLElement>) => {
      if (event.button !== 0) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      const wide = event.currentTarget.closest(".dashgrid")?.clientWidth ?? 1;
      from.current = { x: event.clientX, y: event.clientY, wide, place: panel.place };
    },
    onPointerMove: (event: PointerEvent) => {
      const place = placeAt(event);
      if (place) hold(place);
      else if (from.current) release();
    },
    onPointerUp: (event: PointerEvent) => {
      const place = placeAt(event);
      ended();
      if (place) drop(place);
    },
    onLostPointerCapture: ended,
  };
}
