/** The pages one can go to: their addresses, names, and the key that follows `g`. */

import {
  IconActivityHeartbeat,
  IconBell,
  IconChartHistogram,
  IconFlame,
  IconLayoutDashboard,
  IconSettings,
  IconTopologyStar3,
} from "@tabler/icons-react";

export const PLACES = [
  { path: "/", name: "Now", key: "n", icon: IconActivityHeartbeat },
  { path: "/explore", name: "Explore", key: "e", icon: IconChartHistogram },
  { path: "/services", name: "Services", key: "s", icon: IconTopologyStar3 },
  { path: "/alerts", name: "Alerts", key: "a", icon: IconBell },
  { path: "/incidents", name: "Incidents", key: "i", icon: IconFlame },
  { path: "/dashboards", name: "Dashboards", key: "d", icon: IconLayoutDashboard },
  { path: "/settings", name: "Settings", key: "c", icon: IconSettings },
] as const;
