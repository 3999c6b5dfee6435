import { Link } from "react-router";
import { useAlerts } from "@/api/alerts";
import { useDashboards } from "@/api/dashboards";
import { Ago } from "@/components/Ago";
import { Nothing, Shown } from "@/components/states";
import { Tag } from "@/components/Tag";
import { useGoto } from "@/components/time";
import { bool, maybe, num, text, texts } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";

/** Alerts and dashboards, as lists within a dashboard. */
export default function Lists(props: PanelProps) {
  return props.panel.type === "alertlist" ? <AlertList {...props} /> : <DashList {...props} />;
}

function AlertList({ panel, filled }: PanelProps) {
  const wanted = filled(text(panel.options.alertName)).toLowerCase();
  return (
    <Shown of={useAlerts()}>
      {(alerts) => {
        const found = alerts
          .filter(({ labels }) => (labels.alertname ?? "").toLowerCase().includes(wanted))
          .slice(0, num(panel.options.maxItems, 20));
        if (found.length === 0) return <Nothing title="No alerts" />;
        return found.map(({ fingerprint, labels, state, since }) => (
          <div
            key={fingerprint + state}
            style={{ display: "flex", gap: 8, padding: "2px 0", alignItems: "baseline", whiteSpace: "nowrap" }}
          >
            <Tag of={state} /> <span className="cut">{labels.alertname}</span>
            <span className="quiet">{labels.service ?? labels.job}</span>
            <span className="quiet" style={{ marginLeft: "auto" }}>
              <Ago at={since} />
            </span>
          </div>
        ));
      }}
    </Shown>
  );
}

function DashList({ panel, filled }: PanelProps) {
  const goto = useGoto();
  const tags = texts(panel.options.tags);
  const words = bool(panel.options.showSearch) ? filled(text(panel.options.query)).toLowerCase() : "";
  return (
    <Shown of={useDashboards()}>
      {(all) =>
        all
          .filter((each) => tags.every((tag) => each.tags.includes(tag)) && each.title.toLowerCase().includes(words))
          .slice(0, maybe(panel.options.maxItems) ?? 10)
          .map(({ uid, title }) => (
            <div key={uid}>
              <Link to={goto(`/dashboards/${uid}`)}>{title}</Link>
            </div>
          ))
      }
    </Shown>
  );
}
