/** The keys: two after each other to go to a page, one to do something here, `?` to be told which. */

import { Kbd, Modal } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { spotlight } from "@mantine/spotlight";
import { useLayoutEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { PLACES } from "./places";
import { useGoto } from "./time";

const HERE: readonly (readonly [string, string])[] = [
  ["Ctrl K or /", "find a page, a service, a dashboard, an incident, or something to do"],
  ["t", "choose the range of time"],
  ["[ ]", "back and on in time"],
  ["-", "zoom out"],
  ["r", "refresh now"],
  ["e", "on a dashboard: edit the panel that has the focus, or is under the pointer"],
  ["?", "this list"],
];
const PATIENCE_MS = 3000;
const NEVER = Number.NEGATIVE_INFINITY;

export function Shortcuts() {
  const [open, setOpen] = useState(false);
  const navigate = useNavigate();
  const goto = useGoto();
  const begun = useRef(NEVER); // when `g` was pressed, not when a busy page came to it
  useHotkeys([
    ["shift+?", () => setOpen(true)],
    ["?", () => setOpen(true)],
    ["/", spotlight.open],
  ]);
  // Before the page is seen: who sees it may press a key.
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        target.closest("input, textarea, select, [contenteditable=true]")
      )
        return;
      const place = PLACES.find(({ key }) => key === event.key);
      if (place && event.timeStamp - begun.current < PATIENCE_MS) {
        event.stopPropagation();
        navigate(goto(place.path));
      }
      begun.current = event.key === "g" ? event.timeStamp : NEVER;
    };
    // Before what one key alone would do: the t of "g t" does not open the picker.
    document.addEventListener("keydown", pressed, true);
    return () => document.removeEventListener("keydown", pressed, true);
  }, [navigate, goto]);
  return (
    <Modal opened={open} onClose={() => setOpen(false)} title="Keys" size="md">
      <table className="table" aria-label="keys">
        <tbody>
          {[...PLACES.map(({ key, name }) => [`g ${key}`, name] as const), ...HERE].map(([keys, does]) => (
            <tr key={keys}>
              <td>
                {keys.split(" ").map((key) =>
                  key === "or" ? (
                    " or "
                  ) : (
                    <Kbd key={key} size="xs" mr={4}>
                      {key}
                    </Kbd>
                  ),
                )}
              </td>
              <td>{does}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Modal>
  );
}
