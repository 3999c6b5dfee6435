interface Props {
  readonly count: number;
  /** Of what: "of 12 alerts". */
  readonly of: string;
  /** What is not known of them: "whether it would mute them". */
  readonly what: string;
}

/** Says what matchers cannot be tried on here; nothing where all of it was. */
export function Untold({ count, of, what }: Props) {
  if (count === 0) return null;
  return (
    <div className="warn" role="status">
      Of {count} {of} it cannot be told here {what}: a regular expression is wrong, or too large to be run in the
      browser.
    </div>
  );
}
