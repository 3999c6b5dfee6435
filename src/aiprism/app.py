"""The composition root: builds every part in one straight function, starts them, and stops them in reverse.

In: a function that loads the configuration (called again on reload). Out: a running platform. What must flow against
the direction of imports (a rule's query, an alert's way to the response room) is handed in here as a function.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import structlog
import uvloop
from fastapi import APIRouter

from aiprism import __version__, configured
from aiprism import config as configuration
from aiprism import services as service_files
from aiprism.clock import Clock, SystemClock
from aiprism.config import Config
from aiprism.detect import rules as rule_files
from aiprism.detect.annotations import Surroundings
from aiprism.detect.duty import RuleDuty
from aiprism.detect.groups import RuleGroups
from aiprism.detect.loganalysis import LogAnalysis
from aiprism.detect.logsecurity import LogSecurity
from aiprism.detect.patternwatch import PatternWatch
from aiprism.detect.signals import Answers, RuleQuestion
from aiprism.errors import AiprismError, BadInput, ConfigError
from aiprism.learn import evidence
from aiprism.learn.evidence import Gatherer
from aiprism.learn.investigations import Investigations
from aiprism.learn.postmortems import Postmortems
from aiprism.learn.survey import Survey
from aiprism.learn.telemetrylook import sources as telemetry_sources
from aiprism.model.alerts import Alert
from aiprism.model.events import ChangeEvent
from aiprism.model.timerange import TimeRange
from aiprism.query.promql import PromQL, Vector
from aiprism.query.promql.results import Results
from aiprism.query.promql.values import Answer, Matrix
from aiprism.query.remote_read import RemoteRead
from aiprism.receive import otlp_grpc
from aiprism.receive.doors import OtlpDoors
from aiprism.receive.exposition.pages import Pages
from aiprism.receive.inflight import InFlight
from aiprism.receive.limits import Admission
from aiprism.receive.logtreatment import LogTreatment
from aiprism.receive.remote_write import RemoteWriteDoor
from aiprism.receive.scrape import Handoffs, Scraping
from aiprism.respond.actions import kinds
from aiprism.respond.actions.act import Actuator, Means
from aiprism.respond.actions.control import Control, ControlHub
from aiprism.respond.changes import ChangeWatch
from aiprism.respond.responder import Responder
from aiprism.respond.rooms import Rooms
from aiprism.respond.trial import Trials
from aiprism.respond.updates import Updates
from aiprism.store import usage
from aiprism.store.alertstates import LOG_PATTERNS, AlertStates
from aiprism.store.archive import Archive
from aiprism.store.backup import Manifest
from aiprism.store.backup import backup as take_backup
from aiprism.store.dashboards import Dashboards
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.following import Following
from aiprism.store.housekeeping import Housekeeping
from aiprism.store.leadership import Duty, Leadership
from aiprism.store.opening import Opening, make_directory, opened
from aiprism.store.place import archive_place, backup_place
from aiprism.store.question import Question
from aiprism.store.recent import Recent
from aiprism.store.records import Records
from aiprism.store.rollups import Rollups
from aiprism.store.samples import SampleStore
from aiprism.store.savedsearches import SavedSearches
from aiprism.store.series import SeriesIndex
from aiprism.store.signals import SignalStore
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from aiprism.web import (
    agents,
    alertmanager,
    backtest,
    backup,
    catalogue,
    changehooks,
    control,
    dashboardfiles,
    dashboards,
    elastic,
    events,
    explain,
    explore,
    federate,
    hooks,
    incidents,
    ingest,
    investigations,
    jaeger,
    live,
    logpipelines,
    logs,
    maintenance,
    oncall,
    postmortems,
    prometheus,
    prometheus_only,
    receivers,
    related,
    remote_read,
    remote_write,
    reports,
    routes,
    routing,
    rules,
    runbooks,
    searches,
    servicepage,
    sql,
    status,
    storage,
    streamdoors,
    targets,
    tsdb,
    updates,
    warroom,
)
from aiprism.web import services as services_door
from aiprism.web import tiers as tiers_door
from aiprism.web.listening import HttpServer, listen, most_connections, url_of
from aiprism.web.turns import Turns

log = structlog.get_logger()

# After a restart a level that is sent as deltas goes on from its last stored value, if that is no older than this (seconds).
LEVELS_KEPT = 86_400.0

Load = Callable[[], Config]


def serve(load: Load, opening: Opening | None = None) -> None:
    """Run the platform until SIGTERM or SIGINT; prints `aiprism ready http://HOST:PORT` once it serves. `opening` is its store
    when somebody began to open that already.

    Raises ConfigError when the configuration is wrong, Unavailable when a store cannot be opened.
    """
    _log_as_events()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(load, opening))


async def _until_told(load: Load, opening: Opening | None) -> None:
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with running(load, opening=opening) as reload:
        reloads: set[asyncio.Task[None]] = set()

        def reload_soon() -> None:
            task = loop.create_task(_tried(reload))
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, reload_soon)
        await told.wait()
        log.info("aiprism.stopping")


async def _tried(reload: routes.Reload) -> None:
    with contextlib.suppress(BadInput):  # logged where it was refused; the old configuration stays
        await reload()


@contextlib.asynccontextmanager
async def running(
    load: Load, clock: Clock | None = None, opening: Opening | None = None
) -> AsyncIterator[routes.Reload]:
    """The whole platform, from here to the end of the `async with`; gives the function that reloads it. `opening` is its
    embedded store when that is being opened already."""
    # Long, and straight: each part is built of those above it, and the order of starting and stopping is what one reads here.
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        # Whatever may be refused is read and opened before anything runs.
        config = load()
        make_directory(config.data)
        token = configuration.control_token(config)
        main = stack.enter_context(listen(config.server.listen, "server.listen"))
        sockets = [main]
        if config.server.otlp_http and "receive" in config.server.roles:
            sockets.append(stack.enter_context(listen(config.server.otlp_http, "server.otlp_http")))
        if config.server.otlp_grpc and "receive" in config.server.roles:
            listen(config.server.otlp_grpc, "server.otlp_grpc").close()  # gRPC will listen there by itself
        stream_sockets = streamdoors.opened(config, stack)
        origins = configured.origins(config)
        external_url = config.server.external_url or url_of(main)
        scrape_file = configured.scrape_file(config)
        policy, hints = configured.policy(config, external_url), configured.hints(config)
        treated = configured.treatment(config)

        # store
        telemetry = Telemetry()
        records = await asyncio.to_thread(Records.open, config.control_database)
        stack.callback(records.close)
        saved = SavedSearches(records)
        groups = configured.rule_groups(config, scrape_file, saved)  # of which some may be made of saved searches
        if opening:
            store = await asyncio.wrap_future(opening())
        else:
            store = await asyncio.to_thread(opened, config, lambda _: records.turn("migrate"))
            stack.push_async_callback(asyncio.to_thread, store.engine.close)
        engine, index = store.engine, store.index
        disk = _disk_check(config)
        admission = Admission(config.store.tenant, config.limits, clock, telemetry)
        treatment = LogTreatment(telemetry, treated, within=partial(admission.bounds, "logs"))
        writing = Writing(
            engine,
            index,
            config.ingest,
            telemetry,
            fault=disk,
            admission=admission,
            treat_logs=treatment.treat,
        )
        rollups = Rollups(engine, clock.now, telemetry)
        archive = _archive(config, engine)
        housekeeping = Housekeeping(
            engine,
            config.retention,
            clock,
            telemetry,
            rollups=rollups,
            free_bytes=_free_bytes(config, engine),
            archive=archive,
            records=records,
            samples_gone=index.samples_gone,
        )

        # query
        # Beside other processes on the same server we would not hear of what they write.
        recent = Recent(config.query.recent_bytes, telemetry) if engine.embedded and config.query.recent_bytes else None
        samples = SampleStore(engine, index, rollups if config.retention.downsample else None, recent)
        results = _results(config, engine, index, clock, telemetry)
        promql = PromQL(samples, configured.limits(config), results=results)

        answers = Answers(promql, engine, SignalStore(engine, config.rules.signal_series), seconds=config.query.timeout)

        async def query(asked: RuleQuestion, at: float) -> Vector:
            return await engine.run(answers.vector, asked, at)

        async def query_all(asked: Sequence[RuleQuestion], at: float) -> Sequence[Answer]:
            return await engine.run(answers.vectors, asked, at)

        def ask(text: str, at: float) -> Sequence[tuple[Mapping[str, str], float]]:
            return [(item.labels, item.value) for item in promql.vector(text, at).items]

        async def levels(series: Sequence[tuple[str, int]]) -> Mapping[int, float]:
            return await engine.run(samples.last_values, series, round((clock.now() - LEVELS_KEPT) * 1000))

        # learn
        def services_now() -> service_files.Catalogue:
            return responder.policy.services

        survey = Survey(engine, services_now, clock, telemetry)

        # respond
        leadership = Leadership(records, clock, telemetry, name=url_of(main))
        hub = ControlHub(records, clock)

        def actuators(config: Config) -> Mapping[str, Actuator]:
            return kinds.actuators(Means(config.respond, clock, Control(hub), ask, config.base, external_url))

        responder = Responder(
            records,
            policy=replace(policy, ways=survey.ways),  # as declared or as seen
            actuators=actuators(config),
            ask=ask,
            clock=clock,
            check_interval=config.respond.progress,
            telemetry=telemetry,
        )

        rooms = Rooms(responder.pipeline, responder.remediation)
        trials = Trials(responder.pipeline, clock, external_url)
        event_store = EventStore(engine)

        async def changes(window: TimeRange, of: Sequence[str]) -> Sequence[ChangeEvent]:
            return await engine.run(event_store.search, window, services=of)

        change_watch = ChangeWatch(responder.pipeline, changes, clock)

        async def notify(alerts: Sequence[Alert]) -> None:
            await asyncio.to_thread(responder.accept, alerts)

        # detect
        states = AlertStates(records)

        labels = {**scrape_file.external_labels, **config.rules.external_labels}
        around = Surroundings(labels, external_url, ask)

        def evaluated(loaded: Sequence[rule_files.Group]) -> RuleGroups:
            return RuleGroups(
                loaded,
                query=query,
                query_all=query_all,
                record=writing.append,
                notify=notify,
                states=states,
                clock=clock,
                telemetry=telemetry,
                around=around,
            )

        rule_groups = RuleDuty(groups, evaluated, states)
        security = LogSecurity(engine, config.resolved(config.logs.sigma))
        analysis = LogAnalysis(engine, hints, slow=config.logs.slow, security=security.events)
        pattern_watch = PatternWatch(
            engine,
            config.logs,
            notify=notify,
            states=AlertStates(records, LOG_PATTERNS),
            clock=clock,
            telemetry=telemetry,
            external_labels=labels,
            external_url=external_url,
            hints=hints,
        )

        # learn from what is over
        def alerting_rules() -> Sequence[rule_files.AlertingRule]:
            every = (rule for group in rule_groups.groups for rule in group.rules)
            return [rule for rule in every if isinstance(rule, rule_files.AlertingRule)]

        def ask_range(asked: RuleQuestion, start: float, end: float, step: float) -> Matrix:
            return answers.range(asked, start, end, step, Question(evidence.SECONDS))

        gatherer = Gatherer(engine, ask=ask, ask_range=ask_range, rules=alerting_rules, services=services_now)
        postmortem_desk = Postmortems(responder.pipeline, gatherer, survey.related, clock, telemetry)
        looking = telemetry_sources(
            engine, samples, responder.pipeline, lambda: analysis.hints, postmortem_desk.resembling
        )
        investigation_desk = Investigations(
            responder.pipeline,
            engine,
            looking,
            lambda: survey.known,
            clock,
            telemetry,
            configured.investigation_bounds(config),
        )

        # receive what nobody sends
        in_flight = InFlight(config.ingest.in_flight_bytes, telemetry)
        scraping = Scraping(
            scrape_file.jobs,
            Handoffs(
                admit=writing.admit,
                store=writing.samples,
                pages=Pages(writing.admit, admission.series_fault),
                in_flight=in_flight,
                bounds=partial(admission.bounds, "samples"),
                clock=clock,
                telemetry=telemetry,
                most_bytes=config.ingest.inflated_bytes,
            ),
        )

        one_at_a_time, loaded = asyncio.Lock(), status.Loaded(config, clock.now())

        async def reload() -> None:
            async with one_at_a_time:
                try:
                    fresh = await asyncio.to_thread(load)
                    fresh_policy = await asyncio.to_thread(configured.policy, fresh, external_url)
                    fresh_actuators = await asyncio.to_thread(actuators, fresh)
                    fresh_file = await asyncio.to_thread(configured.scrape_file, fresh)
                    fresh_groups = await asyncio.to_thread(configured.rule_groups, fresh, fresh_file, saved)
                    fresh_treatment = await asyncio.to_thread(configured.treatment, fresh)
                    fresh_hints = await asyncio.to_thread(configured.hints, fresh)
                    fresh_security = await asyncio.to_thread(LogSecurity, engine, fresh.resolved(fresh.logs.sigma))
                except ConfigError as error:
                    loaded.taken = False
                    log.error("aiprism.reload_refused", error=str(error))
                    raise BadInput(str(error)) from error
                await asyncio.to_thread(responder.reload, replace(fresh_policy, ways=survey.ways), fresh_actuators)
                housekeeping.reload(fresh.retention)
                treatment.reload(fresh_treatment)
                await rule_groups.reload(fresh_groups)
                pattern_watch.reload(fresh.logs, fresh_hints)
                investigation_desk.bounds = configured.investigation_bounds(fresh)
                analysis.reload(fresh_hints, slow=fresh.logs.slow, security=fresh_security.events)
                await scraping.reload(fresh_file.jobs)
                loaded.config, loaded.at, loaded.taken = fresh, clock.now(), True
                log.info("aiprism.reloaded", needs_restart=configured.kept_until_restart(config, fresh))

        def back_up(where: str) -> Manifest:
            return take_backup(engine, records, backup_place(where, config), now=clock.now(), version=__version__)

        # web
        remote_write_door = RemoteWriteDoor(
            writing, telemetry, bounds=admission.bounds, series_fault=admission.series_fault, clock=clock
        )
        doors = OtlpDoors(
            writing,
            telemetry,
            config.otlp,
            levels,
            clock,
            bounds=admission.bounds,
            series_fault=admission.series_fault,
            alone=not config.store.url,  # only a store on a server can be shared
        )
        asked = config.query
        # One thread of the store stays free for rules and for what is quick.
        at_once = max(1, min(asked.concurrency, config.store.workers - 1))
        turns = Turns(engine, telemetry, at_once=at_once, waiting=asked.waiting)
        application = routes.build(
            _of_roles(
                config,
                ("receive", ingest.router(doors, config.ingest)),
                ("receive", agents.router(doors, config.ingest, clock)),
                ("receive", remote_write.router(remote_write_door, config.ingest)),
                ("query", prometheus.router(promql, engine, clock, turns)),
                ("query", explain.router(promql, turns, clock)),
                ("query", prometheus_only.router()),
                ("receive query", targets.router(scraping.status, promql, engine)),
                ("query", federate.router(promql, turns, clock)),
                ("query", sql.router(engine, clock, turns, config.query)),
                ("query", status.router(loaded, clock)),
                ("query", tsdb.router(index.cardinality, engine)),
                ("query", remote_read.router(_remote_read(config, samples), turns, config.ingest)),
                ("query rule", rules.router(rule_groups.status)),
                (
                    "query",
                    backtest.router(
                        answers,
                        turns,
                        responder.during,
                        lambda: responder.policy.routing,
                        clock,
                        around,
                        asked.timeout,
                        lambda: configured.reading(loaded.config, saved),
                    ),
                ),
                (
                    "query",
                    services_door.router(engine, clock, services_now, index=index, turns=turns, seconds=asked.timeout),
                ),
                (
                    "query",
                    servicepage.router(engine, clock, index, responder, turns=turns, seconds=asked.timeout),
                ),
                ("query", related.router(promql, engine, clock, survey, turns=turns, seconds=asked.timeout)),
                ("query", explore.router(engine, clock, archive, turns=turns, seconds=asked.timeout, find=saved.find)),
                (
                    "query",
                    logs.router(
                        engine,
                        clock,
                        archive,
                        turns=turns,
                        seconds=config.query.timeout,
                        find=saved.find,
                        analysis=analysis,
                    ),
                ),
                ("query", searches.router(saved, clock, lambda name: rule_files.users_of(name, rule_groups.groups))),
                ("receive query", logpipelines.router(lambda: treatment.how, clock, partial(admission.bounds, "logs"))),
                ("query", jaeger.router(engine, clock, turns=turns, seconds=config.query.timeout)),
                ("receive query respond", events.router(engine, clock, config.limits, admission, telemetry)),
                ("query respond", live.router(records, clock)),
                ("query respond", incidents.router(responder)),
                ("query respond", runbooks.router(responder, clock)),
                ("query respond", postmortems.router(postmortem_desk, lambda: external_url)),
                ("query respond", warroom.router(rooms, clock)),
                ("query respond", investigations.router(investigation_desk)),
                ("query respond", updates.router(Updates(responder.pipeline), lambda: external_url)),
                ("query respond", dashboards.router(_shelf(records, lambda: loaded.config, clock))),
                ("query respond", reports.router(responder, clock)),
                ("query respond", catalogue.router(services_now)),
                ("query respond", tiers_door.router(responder)),
                ("query respond", oncall.router(responder, clock)),
                ("query respond", hooks.router(responder, lambda: configured.hook_secrets(loaded.config), clock)),
                (
                    "receive query respond",
                    changehooks.router(
                        engine,
                        clock,
                        config.limits,
                        admission,
                        telemetry,
                        secrets=lambda: configured.change_secrets(loaded.config),
                        services=services_now,
                    ),
                ),
                ("respond", alertmanager.router(responder, clock)),
                ("respond", routing.router(responder, clock)),
                ("respond", maintenance.router(responder, clock)),
                ("query respond", receivers.router(responder, trials, clock, lambda: loaded.config)),
                ("respond", control.router(hub, token, lambda: leadership.leads("respond"))),
                ("receive query", storage.router(engine, housekeeping, archive)),
                ("receive query", backup.router(back_up, control.knows(token))),
                # Last of all: its one-part paths (HEAD /<index>) must not stand before anybody's.
                ("receive", elastic.router(doors, config.ingest, clock)),
            ),
            telemetry,
            checks={"store": _store_check(engine, disk), "control": _control_check(records)},
            reload=reload,
            notes={"store": housekeeping.note, "duties": leadership.note},
            names=configured.host_names(config),
            origins=origins,
            at_root=elastic.root,
            bodies=config.ingest,
            in_flight=in_flight,
        )
        grpc_server = None
        if config.server.otlp_grpc and "receive" in config.server.roles:
            grpc_server, port = otlp_grpc.bound(config.server.otlp_grpc, doors, config.ingest, in_flight)

        streams = list(streamdoors.stream_doors(config, stream_sockets, doors, telemetry, clock, in_flight))

        # From here on things run; they stop in reverse.
        writing.start()
        stack.push_async_callback(writing.stop)
        if not engine.embedded:
            following = Following(engine, index, clock)
            await following.start()
            stack.push_async_callback(following.stop)
        if {"query", "rule", "respond"} & set(config.server.roles):
            await survey.start()
            stack.push_async_callback(survey.stop)
        duties = [
            ("receive", Duty("housekeeping", housekeeping.start, housekeeping.stop)),
            ("respond", Duty("respond", responder.start, responder.stop)),
            ("respond", Duty("changes", change_watch.start, change_watch.stop)),
            ("respond", Duty("investigations", investigation_desk.start, investigation_desk.stop)),
            ("respond", Duty("postmortems", postmortem_desk.start, postmortem_desk.stop)),
            ("rule", Duty("rules", rule_groups.start, rule_groups.stop)),
            ("rule", Duty("log patterns", pattern_watch.start, pattern_watch.stop)),
            ("receive", Duty("scrape", scraping.start, scraping.stop)),
        ]
        stack.push_async_callback(leadership.stop)
        await leadership.start([duty for role, duty in duties if role in config.server.roles])
        if grpc_server:
            await grpc_server.start()
            stack.push_async_callback(grpc_server.stop, 1)
            print(f"otlp grpc {config.server.otlp_grpc.rpartition(':')[0]}:{port}", flush=True)  # noqa: T201
        for door in streams:
            await door.start()
            stack.push_async_callback(door.stop)
        http = HttpServer(
            application, sockets, connections=most_connections(config.server.connections), idle=config.server.idle
        )
        await http.start()
        stack.push_async_callback(http.stop)
        for each in sockets[1:]:
            print(f"otlp http {url_of(each)}", flush=True)  # noqa: T201
        print(f"aiprism ready {url_of(main)}", flush=True)  # noqa: T201
        yield reload


# -- parts that need a line or two of their own ----------------------------------------------------------------------


def _of_roles(config: Config, *routers: tuple[str, APIRouter]) -> list[APIRouter]:
    """The routers of which this process has one of the roles."""
    return [router for roles, router in routers if set(roles.split()) & set(config.server.roles)]


def _shelf(records: Records, now: Callable[[], Config], clock: Clock) -> dashboards.Shelf:
    """Dashboards that were saved before those of the configuration's folders, and those before ours."""
    shipped = dashboardfiles.SHIPPED if now().dashboards.shipped else None
    folders = dashboardfiles.Folders(
        lambda: [now().base / each for each in now().dashboards.folders],
        writable=lambda: [now().base / each for each in now().dashboards.writable],
        shipped=shipped,
    )
    return dashboards.Shelf(Dashboards(records), folders, clock)


def _results(config: Config, engine: Engine, index: SeriesIndex, clock: Clock, telemetry: Telemetry) -> Results | None:
    if not config.query.results_bytes:
        return None
    late_ms = None if engine.embedded else round(config.query.late_window * 1000)
    results = Results(config.query.results_bytes, late_ms, clock.now, telemetry)
    if engine.embedded:
        index.tell(results)
    return results


def _remote_read(config: Config, samples: SampleStore) -> RemoteRead:
    asked = config.query
    return RemoteRead(samples, samples=asked.remote_read_samples, series=asked.max_series, seconds=asked.timeout)


def _disk_check(config: Config) -> Callable[[], str | None]:
    """Why the disk of the data directory can take nothing more, None while it can."""

    def check() -> str | None:
        if not os.access(config.data, os.W_OK):
            return f"{config.data.name} cannot be written; is its file system read-only?"
        free = shutil.disk_usage(config.data).free
        if free >= config.store.min_free_bytes:
            return None
        return f"only {free} bytes are free on the disk of {config.data.name} (store.min_free_bytes)"

    return check


def _archive(config: Config, engine: Engine) -> Archive | None:
    place = archive_place(config)
    if place and not engine.embedded and not place.url:
        # A server can neither write nor read a directory of this machine.
        log.warning("archive.off", why="the store is a ClickHouse server: set retention.archive to s3://bucket/prefix")
        return None
    return Archive(engine, place) if place else None


def _free_bytes(config: Config, engine: Engine) -> Callable[[], int]:
    """Free space where the telemetry lies: on this machine's disk, or on the server's."""
    if engine.embedded:
        return lambda: shutil.disk_usage(config.data).free
    return lambda: usage.free_bytes(engine)


def _store_check(engine: Engine, disk: Callable[[], str | None]) -> routes.Check:
    async def check() -> str | None:
        try:
            async with asyncio.timeout(5):
                await engine.run(engine.ping)
        except (AiprismError, TimeoutError) as error:
            return str(error) or "does not answer"
        return disk()

    return check


def _control_check(records: Records) -> routes.Check:
    async def check() -> str | None:
        try:
            async with asyncio.timeout(5):
                await asyncio.to_thread(records.ping)
        except (AiprismError, TimeoutError) as error:
            return str(error) or "does not answer"
        return None

    return check


def _log_as_events() -> None:
    """structlog to stderr: readable on a terminal, JSON lines elsewhere; libraries from WARNING on."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # what it cannot read is told to whoever asked
    readable = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if readable else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
