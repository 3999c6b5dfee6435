import { type Channel, safeAddress } from "@/model/room";

/** The room's channel in Slack, or what keeps it from being made. */
export function Elsewhere({ channel: { kind, name, url, error } }: { channel: Channel }) {
  const to = safeAddress(url);
  const called = name ? `#${name.replace(/^#/, "")}` : kind;
  if (!to) return error ? <span className="warn cut" title={error}>{`no channel: ${error}`}</span> : null;
  return (
    <a href={to} target="_blank" rel="noreferrer" className="nowrap" title={error || `the channel in ${kind}`}>
      {called}
    </a>
  );
}
