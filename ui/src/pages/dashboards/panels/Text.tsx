import DOMPurify from "dompurify";
import { marked } from "marked";
import { useMemo } from "react";
import { text } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";

// Pictures, frames and forms would ask other servers; a page here asks none.
const CLEAN = {
  FORBID_TAGS: ["img", "picture", "video", "audio", "source", "iframe", "form", "input", "style", "link"],
  FORBID_ATTR: ["style", "background"],
};

/** Markdown or HTML, without anything that runs or loads. */
export default function Text({ panel, filled }: PanelProps) {
  const content = filled(text(panel.options.content));
  const mode = text(panel.options.mode, "markdown");
  const html = useMemo(() => {
    const made = mode === "html" ? content : (marked.parse(content, { async: false }) as string);
    return DOMPurify.sanitize(made, CLEAN);
  }, [content, mode]);
  if (mode === "code") return <pre className="mono">{content}</pre>;
  return <div className="markdown" dangerouslySetInnerHTML={{ __html: html }} />;
}
