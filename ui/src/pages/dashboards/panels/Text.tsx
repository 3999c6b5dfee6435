import { useMemo } from "react";
import { cleaned, shownMarkdown } from "@/components/markdown";
import { text } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";

/** Markdown or HTML, without anything that runs or loads. */
export default function Text({ panel, filled }: PanelProps) {
  const content = filled(text(panel.options.content));
  const mode = text(panel.options.mode, "markdown");
  const html = useMemo(() => (mode === "html" ? cleaned(content) : shownMarkdown(content)), [content, mode]);
  if (mode === "code") return <pre className="mono">{content}</pre>;
  return <div className="markdown" dangerouslySetInnerHTML={{ __html: html }} />;
}
