"""The command `aiprism` in processes that are forked from one that has loaded it: a second of CPU instead of four.

In: arguments and environment. Out: a process that can be asked as one of `subprocess`. A fork is what the command would be
after its imports: it has the arguments, environment, directory and output it is given, handles signals by itself and ends
with the same status. What a start loads is left to those who start by the command line.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

# Not chDB, which begins threads while it is loaded; a forked process would be without them.
_LOADED = [
    "aiprism.cli.serve",
    "aiprism.store.opening",
    "aiprism.app",
    "aiprism.receive.kernels",
    "uvicorn.lifespan.on",
]
_FORKING = multiprocessing.get_context("forkserver")


class Forked:
    """`aiprism ARGUMENTS` under way."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        _FORKING.set_forkserver_preload(_LOADED)
        said, output = _FORKING.Pipe(duplex=False)
        # A daemon: the tests' process ends what a failed test has left, where it would wait for it without an end.
        self._process = _FORKING.Process(
            target=_lived, args=(output, arguments, dict(environment), Path.cwd()), daemon=True
        )
        self._process.start()
        output.close()
        self.stdout: TextIO = os.fdopen(os.dup(said.fileno()), encoding="utf-8")
        said.close()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit status, once there is one; negative for a signal."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise TimeoutError(f"aiprism, process {self.pid}, goes on after {timeout} s")
        return status

    def send_signal(self, number: signal.Signals) -> None:
        assert self.pid
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _lived(output: Connection, arguments: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
    """The life of a forked process."""
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["aiprism", *arguments]

    from aiprism import cli  # loaded before this process began

    cli.main(arguments)
