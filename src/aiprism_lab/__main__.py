"""The lab's commands: up (everything), service, load, receivers (one process each), generate (a document)."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiprism_lab.postgresql import Cluster

# Only what the chosen command needs is imported: each process of the lab pays for its own modules and no others.
MODULES = {
    "api-gateway": "gateway",
    "user-service": "users",
    "document-processor": "processor",
    "ai-analysis-service": "analysis",
    "feedback-service": "feedback",
    "notification-service": "notify",
    "model-server": "modelserver",
    "load": "load",
    "receivers": "receivers",
}

# Loaded before the processes are forked, besides what a lab on SQLite needs.
POSTGRESQL_MODULES = ("psycopg", "sqlalchemy.dialects.postgresql.psycopg")

# A demonstration should notice a fault in seconds, so telemetry leaves the processes sooner than by default.
QUICK_TELEMETRY = {
    "OTEL_METRIC_EXPORT_INTERVAL": "2000",
    "OTEL_BSP_SCHEDULE_DELAY": "1000",
    "OTEL_BLRP_SCHEDULE_DELAY": "1000",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is returned."""
    given = _parser().parse_args(arguments)
    if given.command in ("service", "load", "receivers"):
        return _one_process(given)
    return _up(given) if given.command == "up" else _generate(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aiprism-lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the whole lab and stop it on SIGTERM")
    up.add_argument("--data", type=Path, required=True, help="directory for database, documents, logs")
    up.add_argument("--otlp", default="http://127.0.0.1:4318", help="where telemetry goes (OTLP over HTTP)")
    up.add_argument("--platform", default="http://127.0.0.1:9090", help="where the control channel is")
    up.add_argument("--port", type=int, default=0, help="of the supervisor's API; 0 picks a free one")
    up.add_argument("--receivers-port", type=int, default=0, help="of the notification receivers; 0 picks a free one")
    up.add_argument("--users", type=_at_least_one, default=12)
    up.add_argument("--rate", type=_positive, default=1.5, help="documents a second, all users together")
    up.add_argument("--seed", type=int, default=7)
    up.add_argument("--no-load", action="store_true", help="start no users")
    up.add_argument(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="postgresql starts a primary and a standby of its own",
    )
    service = commands.add_parser("service", help="run one process of the lab")
    service.add_argument("name", choices=sorted(MODULES))
    for each in (service, commands.add_parser("load"), commands.add_parser("receivers")):
        each.add_argument("--port", type=int, default=0)
        each.add_argument("--data", type=Path, default=None, help="instead of LAB_DATA")
    generate = commands.add_parser("generate", help="write generated documents")
    generate.add_argument("folder", type=Path)
    generate.add_argument("--count", type=int, default=4)
    generate.add_argument("--seed", type=int, default=7)
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1000:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1000")
    return value


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _one_process(given: argparse.Namespace) -> int:
    from aiprism_lab.database import create_tables
    from aiprism_lab.serving import listening_socket
    from aiprism_lab.wiring import Settings

    name = given.name if given.command == "service" else given.command
    environment = os.environ | ({"LAB_DATA": str(given.data.resolve())} if given.data else {})
    create_tables(Settings.from_environment(name, environment).database_url)
    sock = listening_socket("127.0.0.1", given.port)
    print(f"{name} listens on http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
    return _serve(name, environment, sock)


def _serve(name: str, environment: Mapping[str, str], sock: socket.socket) -> int:
    if "LAB_EXECUTE" in environment:
        from aiprism_lab.postgresql import become_server

        become_server(environment)
    from aiprism_lab.serving import serve
    from aiprism_lab.wiring import Settings

    settings = Settings.from_environment(name, environment)
    serve(_module(name).build(settings), settings, sock)
    return 0


def _module(name: str) -> ModuleType:
    return import_module(f"aiprism_lab.{MODULES[name]}")


def _up(given: argparse.Namespace) -> int:
    for name, value in QUICK_TELEMETRY.items():
        os.environ.setdefault(name, value)
    data = given.data.resolve()
    token = os.environ.pop("AIPRISM_LAB_TOKEN", "")  # the supervisor's alone
    environment = os.environ | {
        "LAB_DATA": str(data),
        "LAB_USERS": str(given.users),
        "LAB_RATE": str(given.rate),
        "LAB_SEED": str(given.seed),
        "OTEL_EXPORTER_OTLP_ENDPOINT": given.otlp,
        "AIPRISM_CONTROL_ENDPOINT": given.platform,
    }
    from aiprism_lab.nursery import Nursery
    from aiprism_lab.wiring import LabSettingsError, Settings

    try:
        cluster = _cluster(data) if given.database == "postgresql" else None
    except LabSettingsError as error:
        print(f"lab failed: {error}", file=sys.stderr, flush=True)
        return 1
    if cluster:
        environment["LAB_DATABASE_URL"] = cluster.url

    # First of all, because a process that already has threads must not fork.
    modules = [f"aiprism_lab.{module}" for module in MODULES.values()]
    nursery = Nursery.begin([*modules, *(POSTGRESQL_MODULES if cluster else ())], _serve)
    from aiprism_lab.supervisor import Plan, lab_token, run

    settings = Settings.from_environment("supervisor", environment)
    token, ports = lab_token(data, token), (given.port, given.receivers_port)
    return run(Plan(settings, environment, token, nursery, *ports, with_load=not given.no_load, cluster=cluster))


def _cluster(data: Path) -> Cluster:
    from aiprism_lab.postgresql import Cluster, programs
    from aiprism_lab.wiring import LabSettingsError

    if os.environ.get("LAB_DATABASE_URL"):
        raise LabSettingsError(
            "LAB_DATABASE_URL names a database, and --database postgresql starts one: give one of them"
        )
    return Cluster(data, programs())


def _generate(given: argparse.Namespace) -> int:
    from aiprism_lab.documents import DocumentFormat
    from aiprism_lab.generate import draft, render

    given.folder.mkdir(parents=True, exist_ok=True)
    formats = list(DocumentFormat)
    for number in range(given.count):
        made, document_format = draft(given.seed + number), formats[number % len(formats)]
        path = given.folder / f"{made.kind}-{given.seed + number}.{document_format}"
        path.write_bytes(render(made, document_format))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
