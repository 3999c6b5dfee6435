"""`aiprism runbooks`: which there are and how they do, which would run for an alert; start, end, approve or refuse one."""

from __future__ import annotations

import argparse
import urllib.parse
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.incidents import identified
from aiprism.cli.remote import Remote
from aiprism.errors import BadInput, NotFound

_API = "/aiprism/v1/runbooks"


def listed(wanted: argparse.Namespace) -> int:
    """Every runbook, in the order they are asked."""
    answer = Remote(wanted.server).get(_API)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if not answer["runbooks"]:
        printing.show(Text("there are no runbooks: respond.runbooks in aiprism.yml names them"))
        return 0
    rows = printing.table(
        "runbook", "tiers", "match", "asks", "runs", "success", "last",
        right=("runs", "success"), fold="match", least=("tiers", "success", "runs"),
    )  # fmt: skip
    for each in answer["runbooks"]:
        rate, last = each["success_rate"], each["last_runs"]
        rows.add_row(
            Text(each["name"], style="bold"),
            " ".join(each["priorities"]),
            ", ".join(each["match"]),
            "dry run" if each["dry_run"] else (each["approval"] or ""),
            str(each["runs"]),
            "" if rate is None else f"{100 * rate:.0f} %",
            printing.styled(last[0]["state"]) if last else "",
        )
    printing.show(rows)
    return 0


def show(wanted: argparse.Namespace) -> int:
    """One runbook with its steps and last runs."""
    told = Remote(wanted.server).get(f"{_API}/{urllib.parse.quote(wanted.name, safe='')}")
    if wanted.output == "json":
        printing.show_json(told)
        return 0
    printing.show(Text.assemble((told["name"], "bold"), f"  {told['description']}"))
    printing.show(
        Text(f"{', '.join(told['match'])}  in {' '.join(told['priorities'])}  ({told['where']})", style="dim")
    )
    printing.show(_steps("step", told["steps"]))
    if told["rollback"]:
        printing.show(_steps("rollback", told["rollback"]))
    if told["verify"]:
        printing.show(Text(f"verified by {told['verify']['query'].strip()}", style="dim"))
    for run in told["last_runs"]:
        line = Text.assemble(
            (run["incident_id"] or "", "cyan"), "  ", printing.styled(run["state"]), f"  {run['outcome']}"
        )
        printing.show(line)
    return 0


def test(wanted: argparse.Namespace) -> int:
    """Which runbooks would run for an alert; 1 when none would."""
    answer = Remote(wanted.server).post(f"{_API}/test", {"labels": _labels(wanted.labels), "priority": wanted.priority})
    would = [each for each in answer["runbooks"] if each["runs"]]
    if wanted.output == "json":
        printing.show_json(answer)
        return 0 if would else 1
    for each in answer["runbooks"]:
        mark = ("runs", "green") if each["runs"] else ("stays", "dim")
        printing.show(
            Text.assemble(mark, "  ", (each["name"], "bold"), f"  {each['why_not'] or '; '.join(each['guards'])}")
        )
        if each["runs"]:
            printing.show(_steps("step", each["steps"]))
    if not would:
        printing.show(Text(f"no runbook answers such an alert of {answer['priority']}", style="yellow"))
    return 0 if would else 1


def run(wanted: argparse.Namespace) -> int:
    """Start a runbook for an incident; its guards apply."""
    remote = Remote(wanted.server)
    incident = identified(remote, wanted.incident_id)
    body = {"runbook": wanted.name, "actor": wanted.actor, "reason": wanted.reason, "fingerprint": wanted.alert}
    answer = remote.post(f"/aiprism/v1/incidents/{incident}/runs", body)
    return _said(wanted, answer, f"{wanted.name} is called for: {answer['run']}")


def abort(wanted: argparse.Namespace) -> int:
    """End a run; what it did is rolled back."""
    return _decide(wanted, "abort", {"actor": wanted.actor, "reason": wanted.reason})


def approve(wanted: argparse.Namespace) -> int:
    """Let a run that waits go ahead."""
    return _decide(wanted, "approve", {"actor": wanted.actor})


def refuse(wanted: argparse.Namespace) -> int:
    """End a run that waits for approval."""
    return _decide(wanted, "refuse", {"actor": wanted.actor})


_DONE = {"abort": "ended", "approve": "approved", "refuse": "refused"}
_MEANT = {"abort": ("planned", "waiting_approval", "running", "verifying")}  # which runs a word may mean


def _decide(wanted: argparse.Namespace, word: str, body: Mapping[str, str]) -> int:
    remote = Remote(wanted.server)
    incident = identified(remote, wanted.incident_id)
    run_id = wanted.run_id or _only(remote, incident, _MEANT.get(word, ("waiting_approval",)))
    answer = remote.post(f"/aiprism/v1/incidents/{incident}/runs/{run_id}/{word}", body)
    return _said(wanted, answer, f"{run_id} {_DONE[word]} by {wanted.actor}")


def _only(remote: Remote, incident: str, states: tuple[str, ...]) -> str:
    """The one run of an incident that can be meant."""
    told = remote.get(f"/aiprism/v1/incidents/{incident}")
    while told.get("merged_into"):  # which took over its runs
        told = remote.get(f"/aiprism/v1/incidents/{told['merged_into']}")
    meant = [run["id"] for run in told["runs"] if run["state"] in states]
    if not meant:
        raise NotFound(f"no run of {incident} is {' or '.join(states)}")
    if len(meant) > 1:
        raise BadInput(f"{len(meant)} runs of {incident} are {' or '.join(states)}; name one: {', '.join(meant)}")
    return str(meant[0])


def _said(wanted: argparse.Namespace, answer: Any, text: str) -> int:
    if wanted.output == "json":
        printing.show_json(answer)
    else:
        printing.show(Text(text))
    return 0


def _steps(head: str, steps: list[dict[str, Any]]) -> Any:
    rows = printing.table(head, "kind", "what", fold="what")
    for step in steps:
        what = "takes it back" if step["undoes"] is not None else ""
        given = {name: value for name, value in step["params"].items() if value not in (None, "", {}, [])}
        rows.add_row(step["name"], step["kind"], what or ", ".join(f"{name} {value}" for name, value in given.items()))
    return rows


def _labels(pairs: list[str]) -> dict[str, str]:
    found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(found) != len(pairs):
        raise BadInput("labels are given as name=value, each name once, as in alertname=ServiceDown service=api")
    return found
