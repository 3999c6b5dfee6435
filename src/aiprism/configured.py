"""What a configuration asks for: its settings, and the files they name, as the values that the parts are built with.

In: a `Config`. Out: frozen values, or ConfigError with file, line and what to do. `app` asks at the start and once more at each
reload; nothing runs here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from aiprism import services as service_files
from aiprism.config import Config
from aiprism.detect import loghints, logvolume
from aiprism.detect import rules as rule_files
from aiprism.detect.signals import Reading
from aiprism.errors import ConfigError
from aiprism.httpconfig import Secret
from aiprism.learn.investigations import Bounds
from aiprism.query.lucene import condition
from aiprism.query.promql import Limits
from aiprism.receive import pipelinefile, redaction, scrapeconfig
from aiprism.receive.logpipeline import Pipeline
from aiprism.receive.logtreatment import Treatment
from aiprism.receive.redaction import Redaction
from aiprism.receive.scrapeconfig import ScrapeFile
from aiprism.respond import roomplan, route, runbook, tiers
from aiprism.respond.changehooks import READERS
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Periods
from aiprism.respond.likeness import weighed
from aiprism.respond.mute import flapping, holding
from aiprism.respond.oncall import reading as oncall_files
from aiprism.respond.oncall.rota import Rota
from aiprism.respond.roomplan import RoomPlan
from aiprism.store.savedsearches import SavedSearches
from aiprism.web import hooks
from aiprism.web.listening import address_of

log = structlog.get_logger()


def _file(config: Config, name: str) -> Path | None:
    """The file that a setting names; None when it names none."""
    if not name:
        return None
    [path] = config.resolved((name,))
    return path


def policy(config: Config, external_url: str) -> Policy:
    """What the response room goes by: routing, runbooks, tiers, who is on call, and the rest of `respond`."""
    file = _file(config, config.respond.alertmanager)
    routing = route.load(file) if file else route.nobody()
    unknown = [name for name in config.respond.incident_receivers if name not in routing.receivers]
    if unknown:
        raise ConfigError(
            f"respond.incident_receivers: {unknown[0]!r} is no receiver of {config.respond.alertmanager or 'alertmanager.yml'}; "
            f"known: {', '.join(routing.receivers) or 'none'}"
        )
    services, rota = catalogue(config), _rota(config, routing)
    rooms = _room_plan(config, routing, rota)
    change_secrets(config)  # refused now, not when somebody knocks
    return Policy(
        routing=routing,
        runbooks=runbook.load(config.resolved(config.respond.runbooks)),
        dry_run=config.respond.dry_run,
        max_runs_per_hour=config.respond.max_runs_per_hour,
        roles=config.respond.people_of,
        services=services,
        weights=weighed(config.correlation),
        periods=Periods(config.respond.validation, _tiers(config, routing, rota), rota, updates=rooms.updates_every),
        planned=_planned(config),
        rooms=rooms,
        flapping=flapping.Limits(config.respond.flap_changes, config.respond.flap_window, config.respond.flap_stable),
        external_url=external_url,
        incident_receivers=config.respond.incident_receivers,
        buttons=bool(hook_secrets(config).slack),
    )


def catalogue(config: Config) -> service_files.Catalogue:
    """The services of services.yml."""
    file = _file(config, config.respond.services)
    return service_files.load(file) if file else service_files.Catalogue()


def _tiers(config: Config, routing: route.Routing, rota: Rota) -> tiers.Tiers:
    file = _file(config, config.respond.tiers)
    named = tiers.Named(routing.receivers, rota.schedules, rota.escalations)
    return tiers.load(file, named) if file else tiers.usual()


def _rota(config: Config, routing: route.Routing) -> Rota:
    file = _file(config, config.respond.oncall)
    return oncall_files.load(file, routing.receivers) if file else Rota()


def _planned(config: Config) -> holding.Planned:
    file = _file(config, config.respond.maintenance)
    return holding.load(file) if file else holding.Planned()


def _room_plan(config: Config, routing: route.Routing, rota: Rota) -> RoomPlan:
    file = _file(config, config.respond.war_room)
    plan = roomplan.load(file, routing.receivers, rota.people) if file else roomplan.usual()
    return plan.with_token(_secret(config, "respond", "slack_bot_token"))


def hook_secrets(config: Config) -> hooks.Secrets:
    """What channels that call back sign with."""
    return hooks.Secrets(*(_hook_secret(config, name) for name in ("slack", "pagerduty", "opsgenie")))


def change_secrets(config: Config) -> Mapping[str, Secret]:
    """What those who tell of changes sign with, by who they are."""
    return {name: _hook_secret(config, name) for name in READERS}


def _hook_secret(config: Config, name: str) -> Secret:
    return _secret(config, "hooks", f"{name}_secret")


def _secret(config: Config, section: str, name: str) -> Secret:
    """What a setting says, or the file that the setting beside it names."""
    where = getattr(config, section)
    text, file = getattr(where, name), getattr(where, f"{name}_file")
    if text and file:
        raise ConfigError(f"{section}.{name} and {section}.{name}_file: give one of them")
    return Secret(text, file=str(config.base / file) if file else "")


def scrape_file(config: Config) -> ScrapeFile:
    """prometheus.yml; what of it is not used is said in the log."""
    file = _file(config, config.scrape.file)
    if not file:
        return ScrapeFile("")
    found = scrapeconfig.read(file, config.environment)
    for each in found.unused:
        log.warning("scrape.file_not_used", file=file.name, what=each)
    return found


def rule_groups(config: Config, scrape_file: ScrapeFile, saved: SavedSearches) -> Sequence[rule_files.Group]:
    """Our rule files, those of signals, those that prometheus.yml names, and the built-in ones."""
    own: list[str | Path] = list(config.resolved(config.rules.files))
    theirs = [path for path in config.resolved(scrape_file.rule_files) if path not in own]
    how = reading(config, saved)
    signals = [path for path in config.resolved(config.rules.signals) if path not in own]
    return (
        *rule_files.load(own, default_interval=config.rules.interval),
        *rule_files.load(signals, default_interval=config.rules.interval, reading=how),
        *rule_files.load(theirs, default_interval=scrape_file.evaluation_interval),
        *(logvolume.groups(how) if config.rules.log_volume else ()),
    )


def reading(config: Config, saved: SavedSearches) -> Reading:
    """How rules on signals are read."""
    return Reading(config.rules.signal_delay, saved.find)


def treatment(config: Config) -> Treatment:
    """What is done to log records before they are kept."""
    file = _file(config, config.logs.pipelines)
    pipeline = pipelinefile.load(file, condition, config.limits.attributes) if file else Pipeline()
    return Treatment(pipeline, Redaction(redaction.kinds(config.logs.redact)))


def hints(config: Config) -> loghints.Hints:
    """What is known of error messages."""
    return loghints.load(_file(config, config.logs.hints))


def investigation_bounds(config: Config) -> Bounds:
    """How long and how many at a time incidents are looked into."""
    learn = config.learn
    return Bounds(learn.investigation_timeout, learn.investigations, learn.investigation_wait)


def limits(config: Config) -> Limits:
    """What one PromQL question may cost."""
    asked = config.query
    return Limits(
        samples=asked.max_samples,
        series=asked.max_series,
        points=asked.max_points,
        seconds=asked.timeout,
        lookback=asked.lookback,
    )


def host_names(config: Config) -> Sequence[str]:
    """The host names we answer to, besides addresses."""
    named = urlsplit(config.server.external_url).hostname
    listening = address_of(config.server.listen, "server.listen")[0]
    return [name for name in (named, listening) if name]


def origins(config: Config) -> re.Pattern[str] | None:
    """The other pages that may ask the query API."""
    try:
        return re.compile(config.server.cors_origin) if config.server.cors_origin else None
    except re.error as error:
        raise ConfigError(
            f"server.cors_origin: {config.server.cors_origin!r} is no regular expression ({error}); "
            r"write for example https://grafana\.example"
        ) from error


def kept_until_restart(running: Config, fresh: Config) -> list[str]:
    """The sections that have changed and that a reload does not carry over."""
    rules_anew = replace(
        running.rules,
        files=fresh.rules.files,
        signals=fresh.rules.signals,
        signal_delay=fresh.rules.signal_delay,
        log_volume=fresh.rules.log_volume,
        interval=fresh.rules.interval,
    )
    names = ("server", "store", "control", "ingest", "streams", "limits", "otlp", "query")
    changed = [name for name in names if getattr(running, name) != getattr(fresh, name)]
    progress = running.respond.progress != fresh.respond.progress  # all else of it is carried over
    return changed + ["respond"] * progress + ["rules"] * (rules_anew != fresh.rules)
