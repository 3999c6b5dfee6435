import { Button, Menu } from "@mantine/core";
import { Link } from "react-router";
import { useDashboards } from "@/api/dashboards";
import type { Scope } from "@/model/dashboard/interpolate";
import { leadOf, leadTo } from "@/model/dashboard/links";
import type { Dashboard, DashLink } from "@/model/dashboard/types";
import { To } from "./panels/Linked";

/** Where a dashboard says one may go from here: addresses, and the dashboards that have its tags. */
export function Links({ dashboard, scope }: { dashboard: Dashboard; scope: Scope }) {
  return dashboard.links.map((link, at) => {
    if (link.kind === "dashboards")
      return <Tagged key={`${at} ${link.title}`} link={link} but={dashboard.uid} scope={scope} />;
    if (!link.url) return null;
    const lead = leadOf(link, scope);
    return (
      <To key={`${at} ${link.title}`} lead={lead} tip={link.tooltip}>
        {lead.title}
      </To>
    );
  });
}

function Tagged({ link, but, scope }: { link: DashLink; but: string; scope: Scope }) {
  const all = useDashboards().data ?? [];
  const found = all
    .filter(({ uid, tags }) => uid !== but && link.tags.every((tag) => tags.includes(tag)))
    .map(({ uid, title }) => ({ title, to: leadTo(uid, link, scope) }));
  if (found.length === 0) return null;
  if (!link.folded)
    return found.map(({ title, to }) => (
      <Link key={to} to={to}>
        {title}
      </Link>
    ));
  return (
    <Menu position="bottom-start" withinPortal>
      <Menu.Target>
        <Button size="compact-xs" variant="default">
          {link.title}
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={360} style={{ overflowY: "auto" }}>
        {found.map(({ title, to }) => (
          <Menu.Item key={to} component={Link} to={to}>
            {title}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
