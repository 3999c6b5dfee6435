/** Markdown and HTML that people wrote, made safe to show: nothing of it runs, loads, or looks like a part of the page. */

import createDOMPurify from "dompurify";
import { marked } from "marked";

const purify = createDOMPurify(window);
// Pictures, frames and forms would ask other servers; a page here asks none.
const FORBIDDEN = ["picture", "video", "audio", "source", "iframe", "form", "input", "style", "link"];
const FORBID_ATTR = ["style", "background", "srcset"];

/** The address a picture is really at, or null for one that is not shown. */
export type Pictures = (source: string) => string | null;

/** HTML without anything that runs or loads. */
export function cleaned(html: string): string {
  return purify.sanitize(html, { FORBID_TAGS: [...FORBIDDEN, "img"], FORBID_ATTR });
}

/** Markdown as HTML, without anything that runs or loads but the pictures that `pictures` knows. */
export function shownMarkdown(text: string, pictures?: Pictures): string {
  const html = marked.parse(text, { async: false }) as string;
  if (!pictures) return cleaned(html);
  const made = purify.sanitize(html, { FORBID_TAGS: FORBIDDEN, FORBID_ATTR, RETURN_DOM_FRAGMENT: true });
  for (const picture of made.querySelectorAll("img")) {
    const source = pictures(picture.getAttribute("src") ?? "");
    if (source === null) picture.replaceWith(picture.alt);
    else picture.setAttribute("src", source);
  }
  const box = document.createElement("div");
  box.append(made);
  return box.innerHTML;
}
