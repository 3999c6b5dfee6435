"""False incidents: the demonstration's platform, lab and rules under load, with nothing broken.

In: a `Stage`. Out: each minute a line of what fires, what was opened, what the users met with, and the load of the machine, so
that an incident that a starved machine caused can be told from one that a bad rule did.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiprism.cli.demostage import Stage
from aiprism.cli.remote import Away, Remote

MINUTE = 60.0


def healthy(stage: Stage, seconds: float, file: Path | None) -> int:
    """Watch for so long; the exit status, 1 when an incident was opened."""
    print(f"platform {stage.platform.url}, nothing is broken for {seconds / MINUTE:g} minutes", flush=True)
    false: list[dict[str, Any]] = []
    for line in looks(stage, seconds):
        print(_told(line), flush=True)
        if file:
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
        false = line.get("incidents", false)
    for each in false:
        print(f"false: {each['id']} {each['title']} ({each['priority']}, {time.ctime(each['created_at'])})")
    print(f"false incidents: {len(false)} (target 0): {'MISSED' if false else 'met'}")
    return 1 if false else 0


def looks(stage: Stage, seconds: float) -> Iterator[dict[str, Any]]:
    """One look a minute."""
    begun = time.time()
    while True:
        time.sleep(min(MINUTE, max(1.0, begun + seconds - time.time())))
        stage.check()
        try:
            yield look(stage, begun)
        except Away as error:  # a starved machine may answer too late; that is part of the record
            yield {"at": time.time(), "load": os.getloadavg(), "away": str(error)}
        if time.time() - begun >= seconds:
            return


def look(stage: Stage, begun: float) -> dict[str, Any]:
    """The system now."""
    alerts = stage.platform.get("/api/v1/alerts")["data"]["alerts"]
    incidents = stage.platform.get("/aiprism/v1/incidents", status="all", limit=200)["incidents"]
    return {
        "at": round(time.time(), 1),
        "since_start": round(time.time() - begun, 1),
        "load": [round(each, 1) for each in os.getloadavg()],
        "alerts": [{**each["labels"], "state": each["state"], "value": each["value"]} for each in alerts],
        "incidents": [
            {name: each[name] for name in ("id", "title", "status", "priority", "created_at", "resolved_at")}
            for each in incidents
        ],
        "notifications": len(stage.receivers.get("/received")["received"]),
        "users": _users(stage),
    }


def _users(stage: Stage) -> dict[str, Any]:
    ports = stage.supervisor.get("/topology")["services"]["load"]
    answer: dict[str, Any] = Remote(f"http://127.0.0.1:{ports[0]['port']}").get("/statistics")
    return answer


def _told(line: dict[str, Any]) -> str:
    if "away" in line:
        return f"{time.strftime('%H:%M:%S')}  load {line['load'][0]:.1f}  {line['away']}"
    firing = sorted({each["alertname"] for each in line["alerts"] if each["state"] == "firing"})
    pending = sorted({each["alertname"] for each in line["alerts"] if each["state"] == "pending"})
    return (
        f"{time.strftime('%H:%M:%S')}  load {line['load'][0]:4.1f}  completed {line['users'].get('completed', 0):5}"
        f"  incidents {len(line['incidents'])}  notifications {line['notifications']}"
        f"  firing {', '.join(firing) or '–'}  pending {', '.join(pending) or '–'}"
    )
