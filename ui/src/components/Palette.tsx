/** The command palette: pages, services, dashboards, open incidents and things to do, found by a few letters. */

import { useMantineColorScheme } from "@mantine/core";
import { Spotlight, type SpotlightActionData } from "@mantine/spotlight";
import { type KeyboardEvent, useState } from "react";
import { useNavigate } from "react-router";
import { useDashboards } from "@/api/dashboards";
import { useIncidents } from "@/api/incidents";
import { useServiceMap } from "@/api/services";
import { found, type Group } from "@/model/palette";
import { QUICK } from "@/model/timerange";
import { copy } from "./Panel";
import { PLACES } from "./places";
import { useGoto, useTime } from "./time";

const DAY = 86_400;

/** What is found is asked for when it is opened, not by every tab that could. */
export function Palette() {
  const [opened, setOpened] = useState(0); // when, in seconds; 0: not yet
  const navigate = useNavigate();
  const goto = useGoto();
  const { setRange, again, utc, setUtc } = useTime();
  const { setColorScheme } = useMantineColorScheme();
  const incidents = useIncidents("open").data ?? [];
  const services = useServiceMap({ start: opened - DAY, end: opened }, 0, opened > 0).data?.nodes ?? [];
  const dashboards = useDashboards(opened > 0).data ?? [];
  const to = (path: string) => () => void navigate(goto(path));
  const groups: Group<SpotlightActionData>[] = [
    {
      group: "Pages",
      actions: PLACES.map(({ path, name, key }) => action(`page ${name}`, name, `g ${key}`, to(path))),
    },
    {
      group: "Incidents",
      actions: incidents.map(({ id, title, priority }) =>
        action(id, `${priority} ${title}`, id, to(`/incidents/${id}`)),
      ),
    },
    {
      group: "Services",
      actions: services.map(({ name, description }) =>
        action(`service ${name}`, name, description, to(`/services/${encodeURIComponent(name)}`)),
      ),
    },
    {
      group: "Dashboards",
      actions: dashboards.map(({ uid, title, folder }) =>
        action(`dashboard ${uid}`, title, folder, to(`/dashboards/${uid}`)),
      ),
    },
    {
      group: "Do",
      actions: [
        action("refresh", "Refresh now", "r", again),
        action("share", "Copy the address of this page", "", () => void copy(location.href, "address")),
        action("zone", utc ? "Times in local time" : "Times in UTC", "", () => setUtc(!utc)),
        ...(["light", "dark", "auto"] as const).map((scheme) =>
          action(`scheme ${scheme}`, `Colours: ${scheme === "auto" ? "as the system" : scheme}`, "", () =>
            setColorScheme(scheme),
          ),
        ),
        ...QUICK.map((length) =>
          action(`last ${length}`, `Last ${length}`, "", () => setRange({ from: `now-${length}`, to: "now" })),
        ),
      ],
    },
  ];
  return (
    <Spotlight
      onSpotlightOpen={() => setOpened(Date.now() / 1000)}
      actions={groups.filter(({ actions }) => actions.length > 0)}
      filter={(query) => found(query, groups)}
      shortcut={["mod + K"]}
      nothingFound="nothing of that name"
      highlightQuery
      scrollable
      maxHeight={420}
      limit={30}
      searchProps={{
        placeholder: "a page, a service, a dashboard, an incident, something to do",
        "aria-label": "find",
        onKeyDown: takeFirst,
      }}
    />
  );
}

function action(id: string, label: string, description: string, act: () => void): SpotlightActionData {
  return { id, label, description, onClick: act };
}

/** Enter takes the first that was found, also when it was found after the last letter was typed. */
function takeFirst({ key, currentTarget }: KeyboardEvent<HTMLElement>) {
  const dialog = currentTarget.closest("[role=dialog]");
  if (key === "Enter" && !dialog?.querySelector("[data-selected]"))
    dialog?.querySelector<HTMLElement>("[data-action]")?.click();
}
