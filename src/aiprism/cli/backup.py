"""`aiprism backup` asks the running server for a backup; `aiprism restore` puts one into an empty place."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from aiprism import config
from aiprism.cli.remote import Remote
from aiprism.errors import ConfigError

_A_DAY = 86_400.0


def take(wanted: argparse.Namespace) -> int:
    """Have the server write a backup, and say what is in it."""
    remote = Remote(wanted.server, token=_token(wanted), timeout=_A_DAY)
    manifest = remote.post("/aiprism/v1/backup", {"directory": _named(wanted.directory)})
    if wanted.output == "json":
        print(json.dumps(manifest))
    else:
        print(f"backed up {_what(manifest)} into {wanted.directory}")
    return 0


def restore(wanted: argparse.Namespace) -> int:
    """Put a backup into the stores that the configuration names, which must be empty, and bring it to this version."""
    from aiprism.store.backup import restore as put_back
    from aiprism.store.engine import Engine
    from aiprism.store.place import backup_place
    from aiprism.store.records import Records
    from aiprism.store.schema import migrate

    found = config.load(wanted.config, os.environ, data=wanted.data)
    if found.store.cluster:
        raise ConfigError("restoring into a cluster is not possible so far; use ClickHouse's RESTORE ON CLUSTER")
    found.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = Engine.open(found.store_url, database=f"aiprism_{found.store.tenant}")
    try:
        manifest = put_back(engine, found.control_database, backup_place(_named(wanted.directory), found))
        migrate(engine)
        Records.open(found.control_database).close()
    finally:
        engine.close()
    print(f"restored {_what({'rows': manifest.rows, 'bytes': manifest.bytes})}; start with `aiprism serve`")
    return 0


def _named(where: str) -> str:
    """A directory by its full path; whatever else as it is."""
    return where if "://" in where else str(Path(where).resolve())


def _what(manifest: dict[str, Any]) -> str:
    rows = sum(manifest["rows"].values())
    return f"{rows:,} rows of {len(manifest['rows'])} tables ({manifest['bytes'] / 1024**2:,.1f} MiB)"


def _token(wanted: argparse.Namespace) -> str:
    """The control token: from the environment, else where a server with this data directory keeps it."""
    if token := os.environ.get("AIPRISM_CONTROL_TOKEN"):
        return token
    file: Path = wanted.data / "control.token"
    if not file.is_file():
        raise ConfigError(
            f"a backup needs the control token: set AIPRISM_CONTROL_TOKEN, or name the server's data directory with --data "
            f"(there is no {file})"
        )
    return file.read_text(encoding="utf-8").strip()
