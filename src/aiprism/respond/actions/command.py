"""`command:` steps: programs of this machine, by the name an allow-list gives them. There is no shell in between.

The allow-list comes from `respond.commands` of aiprism.yml (name → command line); a runbook adds arguments at most, so
a file of runbooks can never run a program nobody allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Mapping

from aiprism.errors import ConfigError
from aiprism.respond.actions import shape
from aiprism.respond.actions.act import Done, Kind, Order
from aiprism.yamlfile import Node

_KEPT = 2000  # characters of output kept with the step


SHAPE = shape.record(
    "A program of this machine that respond.commands allows; it runs without a shell",
    {"name": shape.text("its name in respond.commands", minLength=1)},
    {"args": shape.listed("arguments behind those of the allow-list", shape.text("an argument", minLength=1))},
)


def read(node: Node) -> Mapping[str, object]:
    """The parameters of `command: {name, args}`."""
    shape.known(node, SHAPE)
    return {"name": node["name"].text(), "args": [item.text() for item in node["args"].items()]}


class Command:
    """Runs allowed programs. A step's key is in AIPRISM_IDEMPOTENCY_KEY for programs that can tell a repeat."""

    def __init__(self, allowed: Mapping[str, str]) -> None:
        self._allowed = {name: _argv(name, line) for name, line in allowed.items()}

    async def act(self, order: Order) -> Done:
        name, args = order.text("name"), order.params.get("args")
        argv = self._allowed.get(name)
        if argv is None:
            allowed = ", ".join(sorted(self._allowed)) or "none"
            return Done(False, f"command {name!r} is not on the allow-list (respond.commands); allowed: {allowed}")
        return await _run([*argv, *map(str, args if isinstance(args, list) else ())], order)


def _argv(name: str, line: str) -> list[str]:
    try:
        argv = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"respond.commands.{name}: {error}") from None
    if not argv:
        raise ConfigError(f"respond.commands.{name} is empty")
    return argv


async def _end_of(stream: asyncio.StreamReader | None) -> bytes:
    """The last bytes of what a program says, however much it says."""
    end = b""
    while stream is not None and (chunk := await stream.read(65_536)):
        end = (end + chunk)[-4 * _KEPT :]  # a character has four bytes at most
    return end


async def _run(argv: list[str], order: Order) -> Done:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Not our own environment: it may hold tokens that a program of this list has no business with.
            env={"PATH": os.defpath, "AIPRISM_IDEMPOTENCY_KEY": order.key},
            start_new_session=True,
        )
    except OSError as error:
        return Done(False, f"{order.text('name')} cannot be started: {error.strerror}")
    try:
        output = await _end_of(process.stdout)
        await process.wait()
    except asyncio.CancelledError:
        # The step's time is over. Its whole process group goes, or a child would keep working behind our back.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    said = output.decode("utf-8", "replace").strip()[-_KEPT:]
    ok = process.returncode == 0
    return Done(ok, f"{order.text('name')} exited {process.returncode}", {"output": said, "exit": process.returncode})


# Its author must say that a repeat does no harm (`idempotent: true`): we cannot know.
KIND = Kind(
    shape=SHAPE,
    read=read,
    actuator=lambda means: Command(means.settings.commands),
    repeatable=lambda params: False,
)
