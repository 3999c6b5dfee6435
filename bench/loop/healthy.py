"""False incidents: the demonstration's platform, lab and rules under load, with nothing broken.

    python bench/loop/healthy.py                 two hours; exit status 1 when an incident was opened
    python bench/loop/healthy.py --lasting 10m --file healthy.jsonl

Each minute one line of JSON is written: alerts, incidents, what the receivers were sent, what the users met with, and the
load of the machine, so that an incident that a starved machine caused can be told from one that a bad rule did. The two
minutes in which everything starts are told apart: `since_start` counts from the first look.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiprism.cli.demostage import Stage, staged
from aiprism.cli.remote import Away, Remote
from aiprism.model.timerange import duration_seconds

MINUTE = 60.0


def looks(stage: Stage, seconds: float) -> Iterator[dict[str, Any]]:
    """One look a minute, the first after two."""
    begun = time.time()
    time.sleep(min(2 * MINUTE, seconds))
    while True:
        stage.check()
        try:
            yield look(stage, begun)
        except Away as error:  # a starved machine may answer too late; that is part of the record
            yield {"at": time.time(), "load": os.getloadavg(), "away": str(error)}
        if time.time() - begun >= seconds:
            return
        time.sleep(min(MINUTE, max(1.0, begun + seconds - time.time())))


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


def main() -> int:
    """Run it; the exit status."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    asked.add_argument("--lasting", type=duration_seconds, default=2 * 3600.0, help="for example 2h or 10m")
    asked.add_argument("--file", type=Path, help="where the lines go, besides the summary on the terminal")
    asked.add_argument("--data", type=Path, help="directory to keep; a temporary one by default")
    wanted = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="aiprism-healthy-") as made:
        place = wanted.data or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        last: dict[str, Any] = {"incidents": []}
        with staged(place.resolve(), "127.0.0.1:0", lambda *_: None) as stage:
            print(
                f"platform {stage.platform.url}, nothing is broken for {wanted.lasting / MINUTE:g} minutes", flush=True
            )
            for line in looks(stage, wanted.lasting):
                print(_told(line), flush=True)
                if wanted.file:
                    with wanted.file.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
                last = line if "incidents" in line else last
    false = last["incidents"]
    for each in false:
        print(f"false: {each['id']} {each['title']} ({each['priority']}, {time.ctime(each['created_at'])})")
    print(f"false incidents: {len(false)} (target 0): {'MISSED' if false else 'met'}")
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
