import { useMergedRef } from "@mantine/hooks";
import { type ReactNode, type Ref, useEffect, useRef, useState } from "react";

/** A box of the height of its place; what does not fit into it can be scrolled through, with the keyboard, too. */
export function Scrolled({ ref, children }: { ref?: Ref<HTMLDivElement>; children: ReactNode }) {
  const box = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const [fits, setFits] = useState(true);
  useEffect(() => {
    const { current: outer } = box;
    const { current: inner } = content;
    if (!outer || !inner) return;
    const sized = new ResizeObserver(() => setFits(outer.scrollHeight <= outer.clientHeight));
    sized.observe(outer);
    sized.observe(inner);
    return () => sized.disconnect();
  }, []);
  return (
    <div ref={box} style={{ height: "100%", overflow: "auto" }} tabIndex={fits ? undefined : 0}>
      <div ref={useMergedRef(content, ref)}>{children}</div>
    </div>
  );
}
