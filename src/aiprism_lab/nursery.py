"""Forks the lab's processes from one that has loaded all modules already.

A Python process of the lab needs seconds to import what it uses, a forked one milliseconds: the whole lab is up, and a
crashed service back, before anybody waits. In: a service's name, environment, listening socket and log file. Out: a
`Child` that can be signalled and waited for. The nursery is single-threaded, as forking demands; it dies with the
supervisor, and its children with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import NoReturn, Self

LARGEST_MESSAGE = 256 * 1024
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # prctl(2)

# What the processes import late or through plug-ins, besides their own modules.
LATE_MODULES = (
    "aiprism.sdk.instrument",
    "httptools",
    "opentelemetry.instrumentation.httpx",
    "opentelemetry.instrumentation.redis",
    "opentelemetry.instrumentation.sqlalchemy",
    "requests",
    "sqlalchemy.dialects.sqlite",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)

# Serves the named service on a socket until told to end; the exit status.
Run = Callable[[str, Mapping[str, str], socket.socket], int]


class NurseryGoneError(ConnectionError):
    """The nursery has died, and all processes with it."""


class Child:
    """A forked process; `returncode` is None while it runs, negative for a signal."""

    def __init__(self, pid: int, nursery: Nursery) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._ended = asyncio.Event()

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process, unless it has ended: only the nursery reaps, so no other process can have its pid."""
        if self.returncode is None:
            self._nursery.tell({"signal": number.value, "pid": self.pid})

    async def wait(self) -> int:
        """The exit status, once there is one."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def ended(self, status: int) -> None:
        self.returncode = status
        self._ended.set()


class Nursery:
    """The supervisor's end. Made by `begin` before any thread exists; `attach` it to the event loop before `spawn`."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._children: dict[int, Child] = {}
        self._births: dict[int, asyncio.Future[int]] = {}
        self._number = itertools.count(1)
        self._gone = False

    @classmethod
    def begin(cls, modules: list[str], run: Run) -> Self:
        """Load `modules` here, then fork the nursery, whose children will call `run`. Returns in the parent only."""
        for name in modules:
            import_module(name)
        for name in LATE_MODULES:
            with suppress(ImportError):  # whoever needs it will say so
                import_module(name)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        gc.freeze()  # what is loaded stays shared between the processes instead of being copied by a collection
        if os.fork() == 0:
            ours.close()
            _bring_up(theirs, parent, run)
        theirs.close()
        ours.setblocking(False)
        return cls(ours)

    def attach(self) -> None:
        """Listen to the nursery from the running event loop."""
        asyncio.get_running_loop().add_reader(self._line.fileno(), self._listen)

    def detach(self) -> None:
        """Close the line: the nursery and whatever still runs there end."""
        asyncio.get_running_loop().remove_reader(self._line.fileno())
        self._line.close()
        self._gone = True

    async def spawn(self, service: str, environment: Mapping[str, str], sock: socket.socket, output: int) -> Child:
        """A new process that serves on `sock` and writes to the file descriptor `output`."""
        number = next(self._number)
        self._births[number] = asyncio.get_running_loop().create_future()
        order = {"number": number, "service": service, "environment": dict(environment)}
        self.tell(order, (sock.fileno(), output))
        pid = await self._births[number]
        del self._births[number]
        return self._children[pid]

    def tell(self, order: Mapping[str, object], descriptors: tuple[int, ...] = ()) -> None:
        """Send an order; NurseryGoneError when nobody takes it."""
        if self._gone:
            raise NurseryGoneError("the process that forks the lab's processes has died")
        socket.send_fds(self._line, [json.dumps(order).encode()], descriptors)

    def _listen(self) -> None:
        try:
            raw = self._line.recv(LARGEST_MESSAGE)
        except BlockingIOError:
            return
        except ConnectionError:
            raw = b""
        if not raw:
            self._all_gone()
            return
        news = json.loads(raw)
        if "number" in news:
            # Before anybody awaits it, so that an end that follows at once finds the child.
            self._children[news["pid"]] = Child(news["pid"], self)
            self._births[news["number"]].set_result(news["pid"])
        else:
            self._children.pop(news["pid"]).ended(news["status"])

    def _all_gone(self) -> None:
        self._gone = True
        asyncio.get_running_loop().remove_reader(self._line.fileno())
        for birth in self._births.values():
            birth.set_exception(NurseryGoneError("the process that forks the lab's processes has died"))
        for child in self._children.values():
            child.ended(-signal.SIGKILL)
        self._children.clear()


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, however that happens.

    prctl(2): PR_SET_PDEATHSIG. The parent may be gone before the call, hence the second look.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _named(name: str) -> None:
    """Let `ps` and `top` show what this process is; the kernel keeps 15 characters."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _bring_up(line: socket.socket, parent: int, run: Run) -> NoReturn:
    """The nursery's own life: take orders, fork, report births and ends, until the line is closed."""
    try:
        die_with(parent)
        os.setsid()  # Ctrl-C in a terminal is for the supervisor, which then ends the others in order
        _named("lab-nursery")
        _Forker(line, run).work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


class _Forker:
    def __init__(self, line: socket.socket, run: Run) -> None:
        self._line, self._run = line, run
        self._wake_here, self._wake_there = socket.socketpair()
        self._wake_here.setblocking(False)
        self._wake_there.setblocking(False)
        self._pids: set[int] = set()

    def work(self) -> None:
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake_there.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._line, selectors.EVENT_READ)
            selector.register(self._wake_here, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                with suppress(BlockingIOError):
                    self._wake_here.recv(4096)
                self._reap()
                if self._line in ready and not self._follow():
                    return

    def _follow(self) -> bool:
        """Carry out one order; False when the supervisor has closed the line."""
        raw, descriptors, _, _ = socket.recv_fds(self._line, LARGEST_MESSAGE, 2)
        if not raw:
            return False
        order = json.loads(raw)
        if "signal" in order:
            if order["pid"] in self._pids:
                os.kill(order["pid"], order["signal"])
            return True
        pid = self._fork(order, *descriptors)
        self._pids.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        self._say({"number": order["number"], "pid": pid})
        return True

    def _fork(self, order: Mapping[str, object], sock: int, output: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._live(order, sock, output, parent)
        return pid

    def _live(self, order: Mapping[str, object], sock: int, output: int, parent: int) -> NoReturn:
        """The life of a child: it never returns into the nursery's code."""
        status = 1
        try:
            die_with(parent)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (self._line, self._wake_here, self._wake_there):
                each.close()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            service, environment = str(order["service"]), order["environment"]
            assert isinstance(environment, dict)
            _named(service)
            os.environ.clear()
            os.environ.update(environment)
            status = self._run(service, environment, socket.socket(fileno=sock))
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._pids.discard(pid)
            self._say({"pid": pid, "status": os.waitstatus_to_exitcode(status)})

    def _say(self, news: Mapping[str, object]) -> None:
        with suppress(BrokenPipeError):
            self._line.send(json.dumps(news).encode())
