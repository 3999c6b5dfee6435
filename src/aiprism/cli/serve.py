"""`aiprism serve`: the configuration from file, environment and flags, then the platform until it is told to stop."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from dataclasses import replace
from importlib.abc import MetaPathFinder
from typing import Any

from aiprism import config


def run(wanted: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    found = configuration(wanted)  # a slip in the file is told before the seconds it takes to load the platform
    sys.meta_path.insert(0, _NoPandas())

    from aiprism.store import opening

    with opening.begun(found) as store:
        gc.disable()  # of what is loaded nothing is garbage: looking for it took a seventh of the time it takes
        from aiprism import app
        from aiprism.receive import kernels

        gc.freeze()  # nor will any of it be
        gc.enable()
        kernels.compile_first()
        app.serve(lambda: configuration(wanted), store)
    return 0


def configuration(wanted: argparse.Namespace) -> config.Config:
    """What the flags say, laid over what file and environment say; read again on every reload."""
    found = config.load(wanted.config, os.environ, data=wanted.data)
    flags = {"listen": wanted.listen, "otlp_grpc": wanted.otlp_grpc, "otlp_http": wanted.otlp_http}
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    if wanted.role is not None:
        given["roles"] = config.checked_roles(wanted.role.split(","))
    return replace(found, server=replace(found.server, **given))


class _NoPandas(MetaPathFinder):
    """Finds no pandas. chDB's package brings it, and pyarrow imports it to see whether an array is one of pandas' own: a
    second of CPU at the first sample, and 60 MB for as long as the process lives."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("aiprism does without pandas", name=fullname)
