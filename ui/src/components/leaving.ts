/** Asks before somebody goes to another page, by a link, a key, Back or by closing the tab, while something is not saved. */

import { useContext, useEffect } from "react";
import { type To, UNSAFE_NavigationContext } from "react-router";

const QUESTION = "What you changed here is not saved. Leave this page?";

/** The page that is not to be left unasked, and how many steps of the tab's history lie before it. */
let kept: { readonly page: string; place: number } | null = null;

/** Back and forward are asked about; to be called before the router hears of them, as listeners of a window have their turns. */
export function heedHistory(): void {
  window.addEventListener("popstate", (event) => {
    if (!kept) return;
    if (location.pathname === kept.page) kept.place = placeNow();
    else if (!confirm(QUESTION)) {
      event.stopImmediatePropagation();
      history.go(kept.place - placeNow());
    }
  });
}

/** The router's own blockers need its data routers. */
export function useAskedToLeave(unsaved: boolean): void {
  const { navigator } = useContext(UNSAFE_NavigationContext);
  useEffect(() => {
    if (!unsaved) return;
    const here = { page: location.pathname, place: placeNow() };
    kept = here;
    const stays = (to: To) =>
      (typeof to === "string" ? new URL(to, location.href).pathname : to.pathname) === here.page;
    const { push, replace } = navigator;
    const asking =
      (go: typeof push): typeof push =>
      (to, ...rest) => {
        if (!stays(to) && !confirm(QUESTION)) return;
        go.call(navigator, to, ...rest);
        here.place = placeNow();
      };
    navigator.push = asking(push);
    navigator.replace = asking(replace);
    const close = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", close);
    return () => {
      kept = null;
      navigator.push = push;
      navigator.replace = replace;
      window.removeEventListener("beforeunload", close);
    };
  }, [unsaved, navigator]);
}

/** How many steps of this tab's history lie before this page, as the router numbers them. */
function placeNow(): number {
  return Number(history.state?.idx ?? 0);
}
