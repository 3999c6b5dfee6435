"""The command `aiprism`: its sub-commands, their arguments, and what an error looks like.

In: an argument list. Out: an exit status: 0 done, 1 it could not be done (one sentence on stderr says why and what to
do), 2 the arguments make no sense. Each sub-command lives in the module it names here and is imported only when it is
asked for, so that `aiprism --help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aiprism.errors import AiprismError

DEFAULT_SERVER = "http://127.0.0.1:9090"
_INCIDENT = "an id, the beginning or end of one, or `last`"
SCENARIOS = ("model-slow", "service-crash", "bad-deploy", "memory-leak", "database-failover")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. argparse exits by itself with 2 for usage and 0 for --help."""
    wanted = parser().parse_args(arguments)
    module, function = wanted.run.split(":")
    try:
        return int(getattr(importlib.import_module(f"aiprism.cli.{module}"), function)(wanted))
    except ModuleNotFoundError as error:
        return _missing(error)
    except AiprismError as error:
        print(f"aiprism: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Every command and its arguments."""
    root = argparse.ArgumentParser(
        prog="aiprism",
        description="Self-hosted observability: receive, store, query, detect, respond, learn.",
        epilog="`aiprism COMMAND --help` tells more. Clients of a server find it by --server or AIPRISM_SERVER.",
    )
    root.add_argument("--version", action="version", version=f"aiprism {_version()}")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    _serving(commands)
    _asking(commands)
    _responding(commands)
    _runbooks(commands)
    _maintaining(commands)
    _on_call(commands)
    _trying(commands)
    _routing(commands)
    _receivers(commands)
    _backing_up(commands)
    return root


def _serving(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = _command(commands, "serve", "serve:run", "run the platform")
    serve.add_argument("--config", type=Path, metavar="FILE", help="aiprism.yml; without it the defaults hold")
    serve.add_argument("--data", type=Path, metavar="DIR", help="directory of everything embedded (default: data)")
    serve.add_argument(
        "--listen", metavar="HOST:PORT", help="HTTP API and UI (127.0.0.1:9090); port 0 picks a free one"
    )
    serve.add_argument("--otlp-grpc", metavar="HOST:PORT", help="OTLP over gRPC (127.0.0.1:4317); '' closes it")
    serve.add_argument("--otlp-http", metavar="HOST:PORT", help="OTLP over HTTP (127.0.0.1:4318); '' closes it")
    serve.add_argument(
        "--role", metavar="ROLE,…", help="what of receive, query, rule, respond this process does (all of it)"
    )

    demo = _command(commands, "demo", "demo:run", "run platform, lab and load, break something, watch the loop close")
    demo.add_argument(
        "--once", action="store_true", help="run the scenario, print the report, exit 0 if the loop closed"
    )
    demo.add_argument("--scenario", choices=(*SCENARIOS, "all"), default="model-slow", help="what breaks (model-slow)")
    demo.add_argument(
        "--data", type=Path, metavar="DIR", help="keep everything in DIR (default: a temporary directory)"
    )
    demo.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="where the platform and its UI serve (127.0.0.1:9090 when that is free, else, and with --once, any port)",
    )
    demo.add_argument("--report", type=Path, metavar="FILE", help="write the report as JSON, too")
    demo.add_argument(
        "--postmortems",
        type=Path,
        metavar="DIR",
        help="write the postmortem of each scenario, as Markdown with its charts",
    )
    _output(demo)

    check = _command(commands, "check", "check:run", "validate rules, aiprism.yml, alertmanager.yml and runbooks")
    which = check.add_mutually_exclusive_group(required=True)
    which.add_argument("files", nargs="*", default=[], type=Path, metavar="FILE")
    which.add_argument("--schema", choices=("runbook",), help="print the JSON Schema of such files, for editors")

    patterns = _command(commands, "patterns", "patterns:run", "mine a log file for the statements it consists of")
    patterns.add_argument("file", metavar="FILE|-", help="one message per line; - reads standard input")
    patterns.add_argument(
        "-o", "--output", choices=("table", "csv", "json"), default="table", help="csv: a row for each line (table)"
    )

    test = _command(commands, "test", "ruletests:run", "run unit tests of rules, try a log pipeline")
    kinds = test.add_subparsers(metavar="KIND", required=True)
    tested = _command(kinds, "rules", "ruletests:run", "run unit tests of rules, in promtool's format")
    tested.add_argument("files", nargs="+", type=Path, metavar="FILE")
    tried = _command(kinds, "pipeline", "pipelines:run", "show what would become of log records on their way in")
    tried.add_argument("records", metavar="FILE|-", help="lines, or records as NDJSON; - reads standard input")
    tried.add_argument("--pipelines", type=Path, metavar="FILE", help="pipelines.yml (the one that --config names)")
    tried.add_argument("--config", type=Path, metavar="FILE", help="aiprism.yml; without it the defaults hold")
    _output(tried)
    tested.add_argument(
        "--run", dest="run_pattern", default="", metavar="REGEX", help="only tests whose name this matches"
    )


def _backing_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    take = _client(commands, "backup", "backup:take", "have the running server back everything up into a new directory")
    take.add_argument(
        "directory", metavar="DIR|s3://…", help="on the machine the server runs on, or a bucket; new or empty"
    )
    take.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="where its control.token is (data)"
    )

    verbs = commands.add_parser("correlation", help="what makes alerts one incident").add_subparsers(
        metavar="VERB", required=True
    )
    learn = _command(
        verbs,
        "learn",
        "correlation:learn",
        "how well its weights did on past incidents, and whether others would do better",
    )
    learn.add_argument("--config", type=Path, metavar="FILE", help="aiprism.yml; without it the defaults hold")
    learn.add_argument("--data", type=Path, metavar="DIR", help="the data directory (default: data)")
    _output(learn, "table")

    restore = _command(commands, "restore", "backup:restore", "put a backup into an empty data directory")
    restore.add_argument("directory", metavar="DIR|s3://…", help="what `aiprism backup` wrote")
    restore.add_argument("--config", type=Path, metavar="FILE", help="aiprism.yml; without it the defaults hold")
    restore.add_argument("--data", type=Path, metavar="DIR", help="the new data directory (default: data)")


def _asking(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    query = _client(commands, "query", "query:run", "ask a PromQL question, at one time or over a range")
    query.add_argument("expression", metavar="EXPR")
    query.add_argument(
        "--at", metavar="TIME", help="ask at TIME (now): Unix seconds, ISO 8601, or 5m for 5 minutes ago"
    )
    query.add_argument("--start", metavar="TIME", help="ask over a range from TIME")
    query.add_argument("--end", metavar="TIME", help="… to TIME (now)")
    query.add_argument("--step", metavar="DURATION", help="… in steps of DURATION (a 60th of the range)")
    query.add_argument("--explain", action="store_true", help="run it, and show how: plan, SQL, series, time")
    query.add_argument("--plan", action="store_true", help="show how it would be answered, without running it")

    sql = _client(
        commands, "sql", "sql:run", "ask in SQL of what is stored, read-only; DESCRIBE and SHOW TABLES tell what"
    )
    sql.add_argument("text", metavar="QUERY", help="ClickHouse's SQL; - reads it from the input")
    sql.add_argument("--start", default="1h", metavar="TIME", help="what {from:DateTime64} is in it (1h)")
    sql.add_argument("--end", metavar="TIME", help="what {to:DateTime64} is in it (now)")
    sql.add_argument("--step", metavar="DURATION", help="what {step:UInt32} is in it (a 120th of the range)")
    sql.add_argument("--limit", type=int, metavar="ROWS", help="most rows (what the server allows)")

    services = _client(commands, "services", "services:services", "how every service does, and whose it is")
    services.add_argument("--window", default="1m", metavar="DURATION", help="measured over the last DURATION (1m)")
    services.add_argument("--drift", action="store_true", help="where services.yml and what is seen disagree")

    logs = _client(commands, "logs", "explore:logs", "search log records; the newest stand last")
    logs.add_argument(
        "text",
        metavar="QUERY",
        nargs="?",
        default="",
        help='in Lucene\'s syntax: level:ERROR service:api "timed out"; @NAME: a saved search',
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what comes in, until Ctrl-C")
    logs.add_argument("--service", default="")
    logs.add_argument("--level", action="append", help="ERROR, WARN …; may be repeated")
    logs.add_argument("--trace", default="", metavar="ID", help="only records of this trace")
    logs.add_argument("--archive", action="store_true", help="search the archived days of the range, too")
    _since(logs, limit=100)

    reports = commands.add_parser("report", help="have the server analyse what it has").add_subparsers(
        metavar="WHAT", required=True
    )
    report = _client(reports, "logs", "logreport:run", "what the logs tell: errors, anomalies, what is slow, security")
    report.add_argument("--window", default="60m", metavar="DURATION", help="of the last DURATION, a day at most (60m)")
    report.add_argument("--end", metavar="TIME", help="… before TIME (now)")
    report.add_argument("--service", default="", help="of this service alone")
    weekly = _command(
        reports, "weekly", "report:weekly", "the week's times to detect, acknowledge and restore, noise, automation"
    )
    weekly.add_argument("--server", default=_default_server(), metavar="URL", help="the running server (%(default)s)")
    weekly.add_argument("--end", metavar="TIME", help="the week before TIME (now)")
    _documents(weekly, "md", "json")

    traces = _client(commands, "traces", "traces:traces", "search traces; the newest stand first")
    traces.add_argument(
        "text", metavar="QUERY", nargs="?", default="", help="in Lucene's syntax: service:api status:error duration:>2s"
    )
    traces.add_argument("--service", default="")
    traces.add_argument("--operation", default="", help="name of a span")
    traces.add_argument("--min-duration", default="0", metavar="DURATION", help="250ms, 2s …")
    traces.add_argument("--errors", action="store_true", help="only those with an error")
    traces.add_argument("-f", "--follow", action="store_true", help="go on with what comes in, until Ctrl-C")
    traces.add_argument(
        "--explain", action="store_true", help="what tells those slower than --min-duration from the others"
    )
    traces.add_argument("--order", choices=("time", "duration"), default="time", help="newest or longest first (time)")
    traces.add_argument("--attribute", action="append", metavar="KEY=VALUE", help="may be repeated")
    _since(traces, limit=20)

    trace = _client(commands, "trace", "traces:trace", "one trace as a waterfall, with its logs")
    trace.add_argument("trace_id", metavar="ID")
    trace.add_argument("--compare", metavar="ID", help="what this other trace did differently")
    trace.add_argument("--archive", action="store_true", help="search the archive, too")

    cardinality = _client(
        commands, "cardinality", "cardinality:cardinality", "which metrics, labels and values make the most series"
    )
    cardinality.add_argument("--limit", type=int, default=10, metavar="N", help="this many of each kind (10)")

    storage = _client(commands, "storage", "storage:storage", "what is stored, its size and how long it stays")
    storage.add_argument("--partitions", action="store_true", help="every partition, too")


def _responding(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    alerts = _client(commands, "alerts", "incidents:alerts", "alerts that are pending or firing")
    shown = alerts.add_mutually_exclusive_group()
    shown.add_argument("--state", choices=("pending", "firing"), help="only these")
    shown.add_argument(
        "--suppressed", action="store_true", help="those that a receiver is not told of, with the stage that holds them"
    )

    incidents = _command(
        commands, "incidents", "incidents:listed", "list incidents, show one, acknowledge, comment or resolve it"
    )
    incidents.set_defaults(status="open", limit=50)
    _asking_a_server(incidents)
    verbs = incidents.add_subparsers(metavar="VERB")
    listed = _below(verbs, "list", "incidents:listed", "incidents, newest first (what `aiprism incidents` does)")
    listed.add_argument("--status", choices=("open", "resolved", "all"), default="open", help="(open)")
    listed.add_argument("--limit", type=int, default=50)
    show = _below(verbs, "show", "incidents:show", "one incident: alerts, timeline, notifications, runbooks")
    show.add_argument("incident_id", metavar="ID", help=_INCIDENT)
    investigate = _below(
        verbs, "investigate", "incidents:investigate", "have it investigated again, and show what was found"
    )
    investigate.add_argument("incident_id", metavar="ID", help=_INCIDENT)
    investigate.add_argument(
        "--actor", "--as", dest="actor", default=_user(), metavar="NAME", help="who wants that (%(default)s)"
    )
    written = _command(verbs, "postmortem", "incidents:postmortem", "its postmortem, as Markdown, a page or JSON")
    written.add_argument(
        "--server", default=argparse.SUPPRESS, metavar="URL", help=f"the running server ({_default_server()})"
    )
    _documents(written, "md", "html", "json")
    written.add_argument("incident_id", metavar="ID", help=_INCIDENT)
    written.add_argument("--version", type=int, default=0, metavar="N", help="a former version (the last one)")
    written.add_argument("--generate", action="store_true", help="generate it anew first; the versions before stay")
    written.add_argument(
        "--actor", "--as", dest="actor", default=_user(), metavar="NAME", help="who wants that (%(default)s)"
    )
    for verb, function, what in (
        ("ack", "incidents:acknowledge", "say that you have seen it and take care"),
        ("unack", "incidents:unacknowledge", "say that you do not take care of it after all"),
        ("respond", "incidents:respond", "say that you begin to work on it"),
        ("comment", "incidents:comment", "put a sentence on its timeline"),
        ("resolve", "incidents:resolve", "close it by hand"),
        ("reopen", "incidents:reopen", "open it again"),
    ):
        act = _below(verbs, verb, function, what)
        act.add_argument("incident_id", metavar="ID", help=_INCIDENT)
        act.add_argument(
            "--actor", "--as", dest="actor", default=_user(), metavar="NAME", help="who you are (%(default)s)"
        )
        act.add_argument("--text", "--comment", dest="text", default="", metavar="SENTENCE", help="for the timeline")
    room = _below(verbs, "room", "warroom:room", "its war room: who is there, what is pinned, what was said")
    room.add_argument("incident_id", metavar="ID", help=_INCIDENT)
    room.add_argument("--say", default="", metavar="TEXT", help="say something first; /help asks what can be asked for")
    room.add_argument("--open", action="store_true", help="open one first, where there is none")
    room.add_argument("--follow", action="store_true", help="stay, and show what happens")
    room.add_argument(
        "--actor", "--as", dest="actor", default=_user(), metavar="NAME", help="who you are (%(default)s)"
    )
    _incident_update(verbs)
    _incident_work(verbs)


def _incident_update(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    update = _below(verbs, "update", "updates:update", "tell an audience how it stands, or show what was told whom")
    update.add_argument("incident_id", metavar="ID", help=_INCIDENT)
    update.add_argument("--to", default="", metavar="AUDIENCE", help="of war-room.yml; without one the log is shown")
    update.add_argument("--text", default="", metavar="SENTENCE", help="what is told (the words of the status)")
    update.add_argument("--status", default="", help="investigating, identified, monitoring, resolved (the incident's)")
    update.add_argument("--template", default="", metavar="NAME", help="the words of this template of war-room.yml")
    update.add_argument("--title", default="", help="its title (that of the audience)")
    update.add_argument("--preview", action="store_true", help="show what would be told, and tell nobody")
    update.add_argument(
        "--actor", "--as", dest="actor", default=_user(), metavar="NAME", help="who you are (%(default)s)"
    )


def _incident_work(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def verb(
        under: argparse._SubParsersAction[argparse.ArgumentParser], word: str, function: str, what: str
    ) -> argparse.ArgumentParser:
        act = _below(under, word, f"incidentwork:{function}", what)
        act.add_argument("incident_id", metavar="ID", help=_INCIDENT)
        act.add_argument(
            "--actor", "--as", dest="actor", default=_user(), metavar="NAME", help="who you are (%(default)s)"
        )
        return act

    def with_text(act: argparse.ArgumentParser) -> None:
        act.add_argument("--text", default="", metavar="SENTENCE", help="for the timeline")

    merge = verb(verbs, "merge", "merge", "have it take in another incident that is the same fault")
    merge.add_argument("other", metavar="OTHER", help="the incident that goes on as a part of it")
    split = verb(verbs, "split", "split", "make some of its alerts an incident of their own")
    split.add_argument(
        "--alert",
        action="append",
        required=True,
        metavar="ALERT",
        help="a fingerprint, or all of that name; repeatable",
    )
    assign = verb(verbs, "assign", "assign", "say who is to take care of it")
    assign.add_argument("person", nargs="?", default="", metavar="PERSON", help="(nobody)")
    role = verb(verbs, "role", "role", "take a role, give it to somebody, or release it")
    role.add_argument("role", choices=("commander", "scribe", "communications", "operations", "expert"))
    role.add_argument("person", nargs="?", default="", metavar="PERSON", help="(you)")
    role.add_argument("--release", action="store_true", help="nobody has it any more")
    rate = verb(verbs, "priority", "priority", "say its impact, its urgency, or the priority itself")
    rate.add_argument("--impact", choices=("extensive", "moderate", "minor"))
    rate.add_argument("--urgency", choices=("immediate", "high", "medium", "low"))
    rate.add_argument("--priority", choices=("P0", "P1", "P2", "P3"))
    rate.add_argument("--automatic", action="store_true", help="leave all of it to the alerts")
    rate.add_argument("--reason", required=True, metavar="SENTENCE", help="for the timeline")
    pin = verb(verbs, "pin", "pin", "keep a link, a query or a trace id at hand")
    pin.add_argument("what", metavar="WHAT")
    for act in (merge, split, assign, pin):
        with_text(act)
    tasks = _command(verbs, "task", "incidents:listed", "add a task, hand it on, say that it is done").add_subparsers(
        metavar="VERB", required=True
    )
    add = verb(tasks, "add", "task_add", "add a task")
    add.add_argument("text", metavar="SENTENCE", help="what is to be done")
    add.add_argument("--assignee", default="", metavar="PERSON")
    add.add_argument("--key", default="", help="your name for it: the same key adds it once")
    hand = verb(tasks, "assign", "task_assign", "say who does it")
    done, again = verb(tasks, "done", "task_done", "it is done"), verb(tasks, "reopen", "task_reopen", "it is not done")
    for act in (hand, done, again):
        act.add_argument("task", metavar="TASK", help="such as T1")
    hand.add_argument("person", metavar="PERSON")
    for act in (add, hand):
        act.add_argument("--due", default=None, metavar="WHEN", help="2h from now, or 2026-11-28T18:00")
    for act in (done, again):
        with_text(act)


def _runbooks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    runbooks = _command(
        commands, "runbooks", "runbooks:listed", "list runbooks, show or start one, end or approve a run"
    )
    _asking_a_server(runbooks)
    verbs = runbooks.add_subparsers(metavar="VERB")
    _below(verbs, "list", "runbooks:listed", "every runbook and how its runs end (what `aiprism runbooks` does)")
    show = _below(verbs, "show", "runbooks:show", "one runbook: match, steps, verification, last runs")
    show.add_argument("name", metavar="NAME")
    test = _below(verbs, "test", "runbooks:test", "which runbooks an alert with these labels calls for; nothing runs")
    test.add_argument("labels", nargs="+", metavar="LABEL=VALUE")
    test.add_argument("--priority", choices=("P0", "P1", "P2", "P3"), help="of the incident (as its tier says)")
    run = _below(verbs, "run", "runbooks:run", "start a runbook for an incident; its guards apply")
    run.add_argument("name", metavar="NAME")
    run.add_argument("incident_id", metavar="INCIDENT", help=_INCIDENT)
    run.add_argument("--reason", required=True, metavar="SENTENCE", help="for the timeline")
    run.add_argument("--alert", default="", metavar="FINGERPRINT", help="for this alert (the first that it matches)")
    acts = [run]
    for verb, function, what in (
        ("abort", "runbooks:abort", "end a run; what it did is rolled back"),
        ("approve", "runbooks:approve", "let a run that waits for approval go ahead"),
        ("refuse", "runbooks:refuse", "end a run that waits for approval"),
    ):
        act = _below(verbs, verb, function, what)
        act.add_argument("incident_id", metavar="INCIDENT", help=_INCIDENT)
        act.add_argument("run_id", nargs="?", default="", metavar="RUN", help="(the only one that can be meant)")
        acts.append(act)
        if verb == "abort":
            act.add_argument("--reason", default="", metavar="SENTENCE", help="for the timeline")
    for act in acts:
        act.add_argument(
            "--actor", "--as", dest="actor", default=_user(), metavar="NAME", help="who you are (%(default)s)"
        )


def _maintaining(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    maintenance = _command(commands, "maintenance", "maintenance:listed", "list maintenance windows, plan or end one")
    _asking_a_server(maintenance)
    verbs = maintenance.add_subparsers(metavar="VERB")
    _below(verbs, "list", "maintenance:listed", "windows, those that hold first (what `aiprism maintenance` does)")
    add = _below(verbs, "add", "maintenance:add", "plan maintenance: its alerts are kept and told to nobody")
    add.add_argument("name", metavar="NAME", help="the reason that is shown")
    add.add_argument("matchers", nargs="+", metavar="MATCHER", help="service=checkout, instance=~'db-.*' …")
    add.add_argument("--start", default="", metavar="TIME", help="ISO 8601, by the clock of the zone (now)")
    until = add.add_mutually_exclusive_group(required=True)
    until.add_argument("--end", default="", metavar="TIME", help="likewise")
    until.add_argument("--duration", default="", metavar="DURATION", help="30m, 2h …")
    add.add_argument("--recurrence", default="", metavar="RRULE", help="such as FREQ=WEEKLY;BYDAY=SA")
    add.add_argument("--zone", default="UTC", help="time zone, such as Europe/Berlin (UTC)")
    add.add_argument("--comment", default="", help="a sentence for those who wonder")
    add.add_argument("--author", default=_user(), help="who you are (%(default)s)")
    end = _below(verbs, "end", "maintenance:end", "end a window now; what fires on is told")
    end.add_argument("window", metavar="NAME|ID")


def _on_call(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    oncall = _command(commands, "oncall", "oncall:shown", "who is on call, the calendar of a schedule, overrides")
    _asking_a_server(oncall)
    oncall.add_argument("--schedule", default="", metavar="NAME", help="its calendar")
    oncall.add_argument("--days", type=int, default=14, metavar="N", help="of so many days (14)")
    oncall.add_argument("--at", metavar="TIME", help="at, or from, TIME (now): Unix seconds, or ISO 8601")
    verbs = oncall.add_subparsers(metavar="VERB")
    _below(verbs, "overrides", "oncall:overrides", "who stands in for others")
    override = _below(verbs, "override", "oncall:override", "have somebody else be on call for a time")
    override.add_argument("schedule", metavar="SCHEDULE")
    override.add_argument("people", nargs="+", metavar="PERSON", help="who is on call instead")
    override.add_argument("--start", default="", metavar="TIME", help="ISO 8601, by the clock of the schedule (now)")
    until = override.add_mutually_exclusive_group(required=True)
    until.add_argument("--end", default="", metavar="TIME", help="likewise")
    until.add_argument("--duration", default="", metavar="DURATION", help="4h, 2d …")
    override.add_argument("--reason", default="", help="a sentence for those who wonder")
    override.add_argument("--author", default=_user(), help="who you are (%(default)s)")
    end = _below(verbs, "end", "oncall:end_override", "end an override now")
    end.add_argument("override", metavar="ID")


def _trying(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    backtest = _client(commands, "backtest", "backtest:run", "what alerting rules would have done on the stored past")
    backtest.add_argument("rules", nargs="+", type=Path, metavar="RULES", help="rule files")
    backtest.add_argument("--from", dest="start", default="1d", metavar="TIME", help="from TIME (a day ago)")
    backtest.add_argument("--to", dest="end", default="now", metavar="TIME", help="to TIME (now)")
    backtest.add_argument("--interval", default="1m", metavar="DURATION", help="of groups that name none (1m)")
    backtest.add_argument("--firings", action="store_true", help="list every firing, too")


def _receivers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = commands.add_parser("receivers", help="who is told, and whether they are reached").add_subparsers(
        metavar="VERB", required=True
    )
    _client(
        verbs, "list", "receivers:listed", "the receivers' integrations, and how they were reached in the last week"
    )
    test = _client(
        verbs, "test", "receivers:test", "tell a receiver that this is a test, and what its services answered"
    )
    test.add_argument("name", metavar="NAME", help="a receiver of alertmanager.yml")
    test.add_argument("--by", default="", metavar="WHO", help="who tries it, which the letter says")


def _routing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = commands.add_parser("routes", help="ask the routing tree of an alertmanager.yml").add_subparsers(
        metavar="VERB", required=True
    )
    test = _command(verbs, "test", "routing:run", "print the receivers of an alert with these labels, comma-separated")
    test.add_argument("--config", type=Path, required=True, metavar="FILE", help="alertmanager.yml")
    test.add_argument("labels", nargs="*", metavar="LABEL=VALUE")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, target: str, what: str
) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    made.set_defaults(run=target)
    return made


def _client(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, target: str, what: str
) -> argparse.ArgumentParser:
    made = _command(commands, name, target, what)
    _asking_a_server(made)
    return made


def _below(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, target: str, what: str
) -> argparse.ArgumentParser:
    made = _command(commands, name, target, what)
    _asking_a_server(made, below=True)
    return made


def _asking_a_server(command: argparse.ArgumentParser, *, below: bool = False) -> None:
    """`below` a command that asks, too: what was said there holds unless it is said here."""
    server = argparse.SUPPRESS if below else _default_server()
    command.add_argument("--server", default=server, metavar="URL", help=f"the running server ({_default_server()})")
    _output(command, argparse.SUPPRESS if below else "table")


def _output(command: argparse.ArgumentParser, default: str = "table") -> None:
    command.add_argument("-o", "--output", choices=("table", "json"), default=default, help="(table)")


def _documents(command: argparse.ArgumentParser, *forms: str) -> None:
    """What is asked for is a document, in one of these forms, the first unless another is said."""
    command.add_argument("-o", "--output", choices=forms, default=forms[0], help=f"({forms[0]})")


def _since(command: argparse.ArgumentParser, *, limit: int) -> None:
    command.add_argument("--start", "--since", metavar="TIME", help="from TIME (an hour ago)")
    command.add_argument("--end", metavar="TIME", help="to TIME (now)")
    command.add_argument("--limit", type=int, default=limit, help="(%(default)s)")


def _default_server() -> str:
    return os.environ.get("AIPRISM_SERVER") or DEFAULT_SERVER


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "operator"


def _version() -> str:
    from aiprism import __version__

    return __version__


def _missing(error: ModuleNotFoundError) -> int:
    """A bare `aiprism` is the SDK; the commands need what the platform needs."""
    if (error.name or "").partition(".")[0] in ("aiprism", "aiprism_lab"):
        raise error
    print(f"aiprism: {error.name} is not installed; run: pip install 'aiprism[server]'", file=sys.stderr)
    return 1
