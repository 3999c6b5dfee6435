/** What stands around every page: where one can go, how long a time is looked at, and whether the server is there. */

import { ActionIcon, Tooltip, useMantineColorScheme } from "@mantine/core";
import { spotlight } from "@mantine/spotlight";
import { IconMoon, IconSearch, IconSun, IconSunMoon } from "@tabler/icons-react";
import { type ReactNode, useEffect } from "react";
import { Link, NavLink, useLocation } from "react-router";
import { useIncidents } from "@/api/incidents";
import { useConnected } from "@/api/live";
import { useStatus } from "@/api/status";
import { useKeptFocus } from "./focus";
import { Palette } from "./Palette";
import { PLACES } from "./places";
import { Shortcuts } from "./Shortcuts";
import { TimePicker } from "./TimePicker";
import { useGoto } from "./time";
import { useSaidTitle } from "./title";

export function Shell({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  useKeptFocus();
  const place = PLACES.findLast(({ path }) => (path === "/" ? pathname === "/" : pathname.startsWith(path)));
  const about = useSaidTitle() ?? (place && place.path !== "/" ? place.name : "");
  useEffect(() => {
    document.title = about ? `${about} · aiprism` : "aiprism";
  }, [about]);
  return (
    <>
      <a className="skip" href="#content">
        skip to the content
      </a>
      <div className="shell">
        <Rail />
        <div style={{ minWidth: 0 }}>
          <header className="bar">
            <h1>{place?.name ?? "aiprism"}</h1>
            <div className="tools">
              <TimePicker />
              <Tooltip label="find or do (Ctrl K)">
                <ActionIcon variant="subtle" color="gray" aria-label="command palette" onClick={spotlight.open}>
                  <IconSearch size={16} />
                </ActionIcon>
              </Tooltip>
              <SchemeSwitch />
            </div>
          </header>
          <Presence />
          <main id="content" className="page" tabIndex={-1}>
            {children}
          </main>
        </div>
      </div>
      <Palette />
      <Shortcuts />
    </>
  );
}

function Rail() {
  const goto = useGoto();
  const incidents = useIncidents("open");
  const status = useStatus();
  const open = incidents.data?.length ?? 0;
  return (
    <nav className="rail" aria-label="pages">
      <Link to={goto("/")} className="brand">
        <img src="/static/favicon.svg" alt="" width={18} height={18} /> aiprism
      </Link>
      {PLACES.map(({ path, name, icon: Icon }) => (
        <NavLink key={path} to={goto(path)} end={path === "/"}>
          <Icon size={17} stroke={1.6} aria-hidden /> {name}
          {path === "/incidents" && open > 0 && (
            <span className="count" title={`${open} open`}>
              {open}
            </span>
          )}
        </NavLink>
      ))}
      <div className="foot">{status.data ? `aiprism ${status.data.version}` : ""}</div>
    </nav>
  );
}

/** Says so when the server is away, or there but not well. */
function Presence() {
  const connected = useConnected();
  const status = useStatus();
  if (status.isError && !connected)
    return (
      <div className="away" role="alert">
        {status.error.message}. What you see is from before; this page tries again by itself.
      </div>
    );
  const wrong = Object.entries(status.data?.checks ?? {}).filter(([, word]) => word !== "ok");
  if (wrong.length === 0) return null;
  return (
    <div className="away" role="alert">
      Not ready: {wrong.map(([name, why]) => `${name}: ${why}`).join("; ")}
    </div>
  );
}

const SCHEMES = {
  auto: { next: "light", icon: IconSunMoon },
  light: { next: "dark", icon: IconSun },
  dark: { next: "auto", icon: IconMoon },
} as const;

function SchemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const { next, icon: Icon } = SCHEMES[colorScheme];
  return (
    <Tooltip label={`colours: ${colorScheme === "auto" ? "as the system" : colorScheme}`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label={`colours ${colorScheme}; change to ${next}`}
        onClick={() => setColorScheme(next)}
      >
        <Icon size={16} />
      </ActionIcon>
    </Tooltip>
  );
}
