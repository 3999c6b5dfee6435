import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Lead, Spot } from "@/model/dashboard/links";
import type { PanelProps } from "./interface";

/** What is shown of a value, leading where the first link of its field leads. */
export function Linked({ spot, leads, children }: { spot: Spot; leads: PanelProps["leads"]; children: ReactNode }) {
  const lead = leads(spot)[0];
  return lead ? <To lead={lead}>{children}</To> : children;
}

export function To({ lead: { to, inside, title }, tip, children }: { lead: Lead; tip?: string; children: ReactNode }) {
  return inside ? (
    <Link to={to} title={tip || title}>
      {children}
    </Link>
  ) : (
    <a href={to} title={tip || title} rel="noreferrer noopener" target="_blank">
      {children}
    </a>
  );
}
