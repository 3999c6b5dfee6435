"""`aiprism check FILE…`: is this file right, and if not, where is the mistake and how is it mended.

In: YAML files of any kind we know; the kind is seen from what stands in the file, not from its name. Out: one line a
file on stdout, or the mistake as file:line on stderr. Exit status 0 when all are right, 1 when one is not.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiprism import config, services, yamlfile
from aiprism.cli import dashboardfile
from aiprism.detect import loghints, rules
from aiprism.detect.signals import Reading
from aiprism.errors import ConfigError
from aiprism.query import sigma
from aiprism.query.lucene import condition
from aiprism.receive import pipelinefile, redaction, scrapeconfig
from aiprism.receive.discovery.listed import Files
from aiprism.respond import permission, roomplan, route, runbook, tiers
from aiprism.respond.actions.trackers import reading as trackers
from aiprism.respond.mute import holding
from aiprism.respond.oncall import reading
from aiprism.respond.oncall.rota import Rota
from aiprism.yamlfile import Node

# Reads a document as one kind; says what it found, or raises ConfigError.
Reader = Callable[[Node, Path], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: its name, the keys of which a document of that kind has at least one, and its reader."""

    name: str
    keys: frozenset[str]
    read: Reader


def run(wanted: argparse.Namespace) -> int:
    """Check every file; each is reported, also after one that is wrong."""
    if wanted.schema:
        print(json.dumps(runbook.SCHEMA, indent=2, ensure_ascii=False))
        return 0
    wrong = 0
    for path in wanted.files:
        try:
            print(f"{path}: {checked(path)}")
        except ConfigError as error:
            print(error, file=sys.stderr)
            wrong += 1
    if wrong and len(wanted.files) > 1:
        print(f"{wrong} of {len(wanted.files)} files have a mistake", file=sys.stderr)
    return 1 if wrong else 0


def checked(path: Path) -> str:
    """What kind of file this is and what it holds; ConfigError at its first mistake."""
    document = yamlfile.read(path)
    kind = _kind_of(document)
    return f"{kind.name}, {kind.read(document, path)}"


def _kind_of(document: Node) -> Kind:
    keys = set(document.entries())
    if not keys:
        raise document.error("is empty; expected one of these files: " + _KNOWN)
    best = max(KINDS, key=lambda kind: len(kind.keys & keys))
    if not best.keys & keys:
        raise document.error(
            f"cannot tell what kind of file this is from its keys ({', '.join(sorted(keys))}); {_KNOWN}"
        )
    return best


def _rules(document: Node, path: Path) -> str:
    groups = rules.read(document, reading=Reading())
    return f"{_counted(len(groups), 'group')}, {_counted(sum(len(group.rules) for group in groups), 'rule')}"


def _prometheus(document: Node, path: Path) -> str:
    """prometheus.yml, the rule files it names, and whether the other files it needs are there."""
    found = scrapeconfig.of(document, os.environ)
    for warning in found.unused:
        print(f"warning: {warning}", file=sys.stderr)
    for job in found.jobs:
        for name in job.http.files():
            if not Path(name).exists():
                missing = ConfigError(f"job {job.name!r} needs {name}, which does not exist", file=found.file)
                if name != job.http.tls.ca.file:  # which promtool does not look for, either
                    raise missing
                print(f"warning: {missing}", file=sys.stderr)
        for provider in job.discovery:
            if isinstance(provider, Files):
                for pattern in provider.check():
                    print(f"warning: {found.file}: job {job.name!r}: there is no file {pattern} (yet)", file=sys.stderr)
    below = [Path(name) for pattern in found.rule_files for name in _rule_files(pattern, document)]
    told = [f"  {os.path.relpath(each)}: {checked(each)}" for each in below]
    counts = f"{_counted(len(found.jobs), 'job')}, {_counted(len(below), 'rule file')} below it"
    return "\n".join([counts, *told])


def _rule_files(pattern: str, document: Node) -> list[str]:
    names = sorted(glob.glob(pattern))  # noqa: PTH207
    if not names and "*" not in pattern:
        raise document["rule_files"].error(f"{pattern} does not exist")
    return names


def _alertmanager(document: Node, path: Path) -> str:
    routing = route.read(document)
    for warning in routing.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return f"{_counted(sum(1 for _ in routing.root.walk()), 'route')}, {_counted(len(routing.receivers), 'receiver')}"


def _tiers(document: Node, path: Path) -> str:
    """tiers.yml; whether its receivers are there is seen from the aiprism.yml that names both files."""
    found = tiers.read(document)
    steps = sum(len(tier.escalate) for tier in found.of.values())
    return f"{_counted(len(document['tiers'].entries()), 'tier')}, {_counted(steps, 'step')}"


def _oncall(document: Node, path: Path) -> str:
    """oncall.yml, the calendars it names, and whether somebody is on call in the weeks to come."""
    found = reading.read(document)
    for warning in reading.warnings(found, time.time()):
        print(f"warning: {warning}", file=sys.stderr)
    counts = (len(found.people), "person"), (len(found.schedules), "schedule"), (len(found.escalations), "policy")
    return ", ".join(_counted(*each) for each in counts)


def _runbooks(document: Node, path: Path) -> str:
    found = runbook.read(document)
    return f"{_counted(len(found), 'runbook')}: {', '.join(each.name for each in found)}"


def _sigma(document: Node, path: Path) -> str:
    return _counted(len(sigma.load([path])), "rule")


def _hints(document: Node, path: Path) -> str:
    return _counted(len(loghints.read(document)), "hint")


def _services(document: Node, path: Path) -> str:
    return _counted(len(services.read(document)), "service")


def _maintenance(document: Node, path: Path) -> str:
    found = holding.read(document)
    counts = _counted(len(found.windows), "maintenance window"), _counted(len(found.rules), "suppression rule")
    return ", ".join(counts)


def _trackers(document: Node, path: Path) -> str:
    return _counted(len(trackers.read(document)), "tracker")


def _war_room(document: Node, path: Path) -> str:
    found = roomplan.read(document)
    tiers_ = ", ".join(sorted(each.value for each in found.tiers)) or "no tier"
    return f"for {tiers_}, {_counted(len(found.audiences), 'audience')}"


def _pipelines(document: Node, path: Path) -> str:
    return _counted(len(pipelinefile.read(document, condition).steps), "step")


def _configuration(document: Node, path: Path) -> str:
    """aiprism.yml, and every file it points to: that is what `serve` would read."""
    # Variables of the environment hide what the file says, so they have no part in judging the file.
    found = config.load(path, {})
    below = [
        *found.resolved((found.scrape.file,) if found.scrape.file else ()),
        *found.resolved(found.rules.files),
        *found.resolved(found.rules.signals),
        *found.resolved((found.respond.alertmanager,) if found.respond.alertmanager else ()),
        *found.resolved((found.respond.tiers,) if found.respond.tiers else ()),
        *found.resolved((found.respond.oncall,) if found.respond.oncall else ()),
        *found.resolved(found.respond.runbooks),
        *found.resolved((found.respond.services,) if found.respond.services else ()),
        *found.resolved((found.respond.maintenance,) if found.respond.maintenance else ()),
        *found.resolved((found.respond.trackers,) if found.respond.trackers else ()),
        *found.resolved((found.respond.war_room,) if found.respond.war_room else ()),
        *found.resolved((found.logs.hints,) if found.logs.hints else ()),
        *found.resolved((found.logs.pipelines,) if found.logs.pipelines else ()),
        *found.resolved(found.logs.sigma),
        *_dashboards(found),
    ]
    told = [f"  {os.path.relpath(each)}: {checked(each)}" for each in below]
    rules.load(found.resolved(found.rules.files))  # a rule on logs stands in the other files
    runbooks = runbook.load(found.resolved(found.respond.runbooks))
    _check_trackers(found, runbooks)
    _check_writable(found, document)
    _check_roles(found, runbooks, _check_tiers(found))
    redaction.kinds(found.logs.redact)
    return "\n".join([f"{_counted(len(below), 'file')} below it", *told])


def _dashboards(found: config.Config) -> list[Path]:
    roots = [found.base / folder for folder in found.dashboards.folders]
    for root in roots:
        if not root.is_dir():
            raise ConfigError("dashboards.folders: there is no such folder", file=str(root))
    return sorted(path for root in roots for path in root.rglob("*") if path.suffix in (".json", ".yml", ".yaml"))


def _check_writable(found: config.Config, document: Node) -> None:
    """Whether the folders that are written into are read from, too."""
    roots = {(found.base / folder).resolve() for folder in found.dashboards.folders}
    for node, folder in zip(document["dashboards"]["writable"].items(), found.dashboards.writable, strict=False):
        if (found.base / folder).resolve() not in roots:
            known = ", ".join(found.dashboards.folders) or "none"
            raise node.error(f"{folder!r} is none of dashboards.folders; known: {known}")


def _check_trackers(found: config.Config, runbooks: Sequence[runbook.Runbook]) -> None:
    """Whether the issue trackers that steps name stand in the file of trackers."""
    named = found.resolved((found.respond.trackers,) if found.respond.trackers else ())
    places = [name for each in named for name in trackers.load(each)]
    for book in runbooks:
        for step in (*book.steps, *book.rollback):
            if step.kind != "issue" or step.params["tracker"] in places:
                continue
            file, _, line = book.where.rpartition(":")
            what = f"step {step.name!r}: there is no tracker {step.params['tracker']!r}"
            if named:
                raise ConfigError(f"{what}; known: {', '.join(places) or 'none'}", file=file, line=int(line))
            # No error: a variable of the environment may name the file.
            print(f"warning: {book.where}: {what}, as respond.trackers names no file", file=sys.stderr)


def _check_roles(found: config.Config, runbooks: Sequence[runbook.Runbook], rota: Rota) -> None:
    """Warn of an approval that nobody can ever give. No error: a variable of the environment may name people."""
    for book in runbooks:
        role = book.guard.approval.role if book.guard.approval else ""
        if role and (why := permission.never_held(role, found.respond.people_of, rota.schedules)):
            print(f"warning: {book.where}: runbook {book.name!r} asks for role {role!r}: {why}", file=sys.stderr)


def _check_tiers(found: config.Config) -> Rota:
    """Whether what tiers and people name stands in the other files; who is on call."""
    routings = found.resolved((found.respond.alertmanager,) if found.respond.alertmanager else ())
    receivers = [name for each in routings for name in route.load(each).receivers]
    rota = Rota()
    for path in found.resolved((found.respond.oncall,) if found.respond.oncall else ()):
        rota = reading.load(path, receivers)
    for path in found.resolved((found.respond.tiers,) if found.respond.tiers else ()):
        tiers.load(path, tiers.Named(receivers, rota.schedules, rota.escalations))
    return rota


KINDS: Sequence[Kind] = (
    Kind("rules", frozenset({"groups"}), _rules),
    Kind("prometheus", frozenset(scrapeconfig.FILE_KEYS), _prometheus),
    Kind("alertmanager", frozenset({"route", "receivers", "inhibit_rules", "templates"}), _alertmanager),
    Kind("runbooks", frozenset({"runbooks", "steps", "match", "verify", "guard"}), _runbooks),
    Kind("services", frozenset({"services"}), _services),
    Kind("log hints", frozenset({"hints"}), _hints),
    Kind("Sigma", frozenset({"title", "logsource", "detection", "correlation"}), _sigma),
    Kind("tiers", frozenset({"tiers", "otherwise"}), _tiers),
    Kind("oncall", frozenset({"people", "schedules", "policies"}), _oncall),
    Kind("maintenance", frozenset({"maintenance", "suppress"}), _maintenance),
    Kind("trackers", frozenset({"trackers"}), _trackers),
    Kind("war room", frozenset({"war_room", "audiences"}), _war_room),
    Kind("pipelines", frozenset({"pipelines"}), _pipelines),
    Kind(
        "dashboard",
        frozenset({"title", "panels", "rows", "templating", "schemaVersion", "dashboard", "spec"}),
        dashboardfile.told,
    ),
    Kind("aiprism.yml", frozenset({"data", *config.SECTIONS}), _configuration),
)
_SIGNS: Mapping[str, str] = {
    "rules": "groups",
    "prometheus.yml": "scrape_configs",
    "alertmanager.yml": "route and receivers",
    "a runbook": "match and steps",
    "services.yml": "services",
    "maintenance.yml": "maintenance and suppress",
    "tiers.yml": "tiers",
    "log hints": "hints",
    "oncall.yml": "people, schedules and policies",
    "trackers.yml": "trackers",
    "pipelines.yml": "pipelines",
    "war-room.yml": "war_room and audiences",
    "a Sigma rule": "logsource and detection",
    "a dashboard": "panels and schemaVersion, dashboard, or kind and spec",
    "aiprism.yml": ", ".join(config.SECTIONS),
}
_KNOWN = "known are " + "; ".join(f"{kind} ({keys})" for kind, keys in _SIGNS.items())


def _counted(count: int, word: str) -> str:
    many = {"person": "people", "policy": "policies"}.get(word, f"{word}s")
    return f"{count} {word if count == 1 else many}"
