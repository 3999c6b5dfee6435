/** Where the keyboard is, while things come and go. */

import { useEffect } from "react";

/**
 * A button is disabled while it is at work, and a browser takes the focus from what is disabled: it is given back once the work is
 * done, unless somebody went elsewhere meanwhile.
 */
export function useKeptFocus(): void {
  useEffect(() => {
    let pressed: HTMLButtonElement | null = null;
    const watch = new MutationObserver(() => {
      if (pressed && !pressed.disabled && document.activeElement === document.body) pressed.focus();
    });
    const click = ({ target }: MouseEvent) => {
      watch.disconnect();
      pressed = target instanceof Element ? target.closest("button") : null;
      if (pressed) watch.observe(pressed, { attributes: true, attributeFilter: ["disabled"] });
    };
    document.addEventListener("click", click, true);
    return () => {
      watch.disconnect();
      document.removeEventListener("click", click, true);
    };
  }, []);
}
