/** Where the keyboard is, while things come and go. */

import { useEffect } from "react";

const AROUND = "main, section, form, [role=group]";

/**
 * A button is disabled while it is at work, and a browser takes the focus from what is disabled: it is given back once the work is
 * done, unless somebody went elsewhere meanwhile. Where it is there no more, what it stood in has the focus: not the next button,
 * which somebody who presses a key again does not mean.
 */
export function useKeptFocus(): void {
  useEffect(() => {
    let pressed: HTMLButtonElement | null = null;
    let around: readonly HTMLElement[] = []; // from the nearest on
    const watch = new MutationObserver(() => {
      if (!pressed || document.activeElement !== document.body) return;
      if (pressed.isConnected) pressed.disabled || pressed.focus();
      else entered(around.find(({ isConnected }) => isConnected));
    });
    const click = ({ target }: MouseEvent) => {
      watch.disconnect();
      pressed = target instanceof Element ? target.closest("button") : null;
      around = pressed?.closest("main") ? ancestors(pressed) : [];
      if (pressed)
        watch.observe(document.body, {
          subtree: true,
          childList: true,
          attributes: true,
          attributeFilter: ["disabled"],
        });
    };
    document.addEventListener("click", click, true);
    return () => {
      watch.disconnect();
      document.removeEventListener("click", click, true);
    };
  }, []);
}

function ancestors(of: HTMLElement): readonly HTMLElement[] {
  const next = of.parentElement?.closest<HTMLElement>(AROUND);
  return next ? [next, ...ancestors(next)] : [];
}

function entered(place: HTMLElement | undefined): void {
  if (!place) return;
  if (!place.hasAttribute("tabindex")) place.tabIndex = -1;
  place.focus({ preventScroll: true });
}
