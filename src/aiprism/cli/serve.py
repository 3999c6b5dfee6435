"""`aiprism serve`: the configuration from file, environment and flags, then the platform until it is told to stop."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import Any

from aiprism import config


def run(wanted: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    configuration(wanted)  # a slip in the file is told before the seconds it takes to load the platform

    from aiprism import app
    from aiprism.receive import kernels

    kernels.compile_first()
    app.serve(lambda: configuration(wanted))
    return 0


def configuration(wanted: argparse.Namespace) -> config.Config:
    """What the flags say, laid over what file and environment say; read again on every reload."""
    found = config.load(wanted.config, os.environ, data=wanted.data)
    flags = {"listen": wanted.listen, "otlp_grpc": wanted.otlp_grpc, "otlp_http": wanted.otlp_http}
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    if wanted.role is not None:
        given["roles"] = config.checked_roles(wanted.role.split(","))
    return replace(found, server=replace(found.server, **given))
