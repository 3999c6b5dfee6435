/** The command palette: pages, services, open incidents and things to do, found by a few letters. */

import { useMantineColorScheme } from "@mantine/core";
import { Spotlight, type SpotlightActionData, type SpotlightActionGroupData } from "@mantine/spotlight";
import { useNavigate } from "react-router";
import { useIncidents } from "@/api/incidents";
import { useServices } from "@/api/services";
import { QUICK } from "@/model/timerange";
import { copy } from "./Panel";
import { PLACES } from "./places";
import { useGoto, useTime } from "./time";

export function Palette() {
  const navigate = useNavigate();
  const goto = useGoto();
  const { setRange, again, utc, setUtc } = useTime();
  const { setColorScheme } = useMantineColorScheme();
  const incidents = useIncidents("open").data ?? [];
  const services = useServices(300).data ?? [];
  const to = (path: string) => () => void navigate(goto(path));
  const groups: SpotlightActionGroupData[] = [
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
      actions: services.map(({ service }) =>
        action(`service ${service}`, service, "", to(`/services/${encodeURIComponent(service)}`)),
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
      actions={groups.filter(({ actions }) => actions.length > 0)}
      shortcut={["mod + K"]}
      nothingFound="nothing of that name"
      highlightQuery
      scrollable
      maxHeight={420}
      limit={30}
      searchProps={{ placeholder: "a page, a service, an incident, something to do", "aria-label": "find" }}
    />
  );
}

function action(id: string, label: string, description: string, act: () => void): SpotlightActionData {
  return { id, label, description, onClick: act };
}
