/** A word in the colour of what it means: a state, a priority, an outcome. */

const KINDS: Readonly<Record<string, string>> = {
  firing: "bad",
  investigating: "bad",
  critical: "bad",
  P0: "bad",
  P1: "bad",
  failed: "bad",
  error: "bad",
  fatal: "bad",
  down: "bad",
  pending: "warn",
  identified: "warn",
  warning: "warn",
  warn: "warn",
  P2: "warn",
  rolled_back: "warn",
  rolling_back: "warn",
  unknown: "warn",
  waiting_approval: "warn",
  suppressed: "warn",
  monitoring: "info",
  running: "info",
  verifying: "info",
  started: "info",
  planned: "info",
  info: "info",
  sending: "info",
  resolved: "good",
  succeeded: "good",
  sent: "good",
  done: "good",
  ok: "good",
  active: "good",
  up: "good",
  verified: "good",
};

export function Tag({ of, kind }: { of: string; kind?: "good" | "warn" | "bad" | "info" | "" }) {
  return <span className={`tag ${kind ?? KINDS[of] ?? ""}`}>{of.replaceAll("_", " ")}</span>;
}
