import { type RefObject, useLayoutEffect, useRef } from "react";

/** What `value` was when the page was drawn last: for those that call back later, such as charts and editors of others. */
export function useLatest<T>(value: T): RefObject<T> {
  const latest = useRef(value);
  useLayoutEffect(() => {
    latest.current = value;
  });
  return latest;
}
