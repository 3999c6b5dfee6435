import { useDeferredValue, useMemo } from "react";
import { shownMarkdown } from "@/components/markdown";
import "./postmortem.css";

interface Props {
  readonly text: string;
  /** Where its charts are, with a slash at the end. */
  readonly base: string;
  readonly version: number;
}

/** A postmortem as it reads, with the charts that were frozen with its evidence. */
export function Preview({ text, base, version }: Props) {
  const settled = useDeferredValue(text);
  const html = useMemo(
    () =>
      shownMarkdown(settled, (source) =>
        /^charts\/\d+\.svg$/.test(source) ? `${base}${source}?version=${version}` : null,
      ),
    [settled, base, version],
  );
  return (
    // It scrolls, so keys must reach it.
    <section className="markdown postmortem" aria-label="as it reads" tabIndex={0}>
      <div dangerouslySetInnerHTML={{ __html: html }} />
    </section>
  );
}
