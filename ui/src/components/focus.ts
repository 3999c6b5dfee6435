/** Where the keyboard is, while things come and go. */

import { useEffect } from "react";

const AROUND = "main, section, form, [role=group]";
const DIALOG = "[role=dialog]";

/** The focus is never lost: neither with a button that is at work or gone, nor with a dialog that is. */
export function useKeptFocus(): void {
  useEffect(keptWhereItWasPressed, []);
  useEffect(givenBackByDialogs, []);
}

/**
 * A button is disabled while it is at work, and a browser takes the focus from what is disabled: it is given back once the work is
 * done, unless somebody went elsewhere meanwhile. Where it is there no more, what it stood in has the focus: not the next button,
 * which somebody who presses a key again does not mean.
 */
function keptWhereItWasPressed(): () => void {
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
}

/**
 * A dialog takes the focus a moment after it is opened, also when it was left in that moment already: it is given back by whoever
 * opened it, which had it by then, and so it would go with the dialog. Once one is gone that had it, what had it before has it.
 */
function givenBackByDialogs(): () => void {
  let before: Element | null = null;
  let dialog: Element | null = null;
  const watch = new MutationObserver(() => {
    if (dialog?.isConnected) return;
    watch.disconnect();
    if (document.activeElement === document.body && before instanceof HTMLElement)
      before.focus({ preventScroll: true });
  });
  const entering = ({ target }: FocusEvent) => {
    if (!(target instanceof Element)) return;
    dialog = target.closest(DIALOG);
    if (dialog) watch.observe(document.body, { subtree: true, childList: true });
    else {
      watch.disconnect();
      before = target;
    }
  };
  document.addEventListener("focusin", entering);
  return () => {
    watch.disconnect();
    document.removeEventListener("focusin", entering);
  };
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
