"""The command itself: its face, its errors, its speed."""

from __future__ import annotations

import doctest
import importlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aiprism import __version__
from aiprism.cli import demo, parser
from aiprism.errors import AiprismError
from tests.cli.conftest import Run
from tests.cli.pretended import pretended

# What a person waits for is the imports, and they can be counted where seconds on a busy machine cannot be trusted.
_HEAVY = ("chdb", "numpy", "fastapi", "sqlalchemy", "opentelemetry", "rich", "httpx", "yaml", "grpc")


def test_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
from pathlib import Path
from aiprism import cli
try:
    cli.main(["--help"])
except SystemExit:
    pass
heavy = [name for name in {_HEAVY!r} if name in sys.modules]
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_every_command_has_help(aiprism: Run) -> None:
    for command in ("serve", "demo", "check", "query", "services", "logs", "traces", "trace", "alerts", "incidents"):
        status, out, _ = aiprism(command, "--help")
        assert (status, f"usage: aiprism {command}" in out) == (0, True)


def test_the_version_is_the_packages(aiprism: Run) -> None:
    assert aiprism("--version") == (0, f"aiprism {__version__}\n", "")


def test_usage_that_makes_no_sense_exits_2(aiprism: Run) -> None:
    for arguments in ((), ("nonsense",), ("check",), ("query",), ("demo", "--scenario", "flood"), ("trace",)):
        assert aiprism(*arguments)[0] == 2


def test_the_demo_serves_where_other_commands_look_for_a_server(aiprism: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def staged(_data: Path, listen: str, *_: object) -> None:
        raise AiprismError(f"would serve at {listen}")

    monkeypatch.setattr(demo, "staged", staged)
    with socket.socket() as usual:
        usual.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*usual.getsockname())
        monkeypatch.setattr(demo, "_USUAL_ADDRESS", address)
        usual.listen()
        assert aiprism("demo")[2] == "aiprism: would serve at 127.0.0.1:0\n"
    assert aiprism("demo")[2] == f"aiprism: would serve at {address}\n"
    assert aiprism("demo", "--once")[2] == "aiprism: would serve at 127.0.0.1:0\n"
    assert aiprism("demo", "--listen", "127.0.0.1:7")[2] == "aiprism: would serve at 127.0.0.1:7\n"


def test_a_server_that_is_away_is_told_with_what_to_do(aiprism: Run) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for command in (
        ("services",),
        ("logs",),
        ("traces",),
        ("trace", "x"),
        ("alerts",),
        ("incidents", "list"),
        ("query", "up"),
    ):
        assert aiprism(*command, "--server", url) == (
            1,
            "",
            f"aiprism: no aiprism server answers at {url} (connection refused); "
            "start one with `aiprism serve`, or name another with --server or AIPRISM_SERVER\n",
        )  # fmt: skip


def test_an_address_that_is_none_is_told_as_such(aiprism: Run) -> None:
    for url in ("http://", "127.0.0.1:notaport", "http://no such host"):
        status, _, err = aiprism("services", "--server", url)
        assert (status, err.startswith("aiprism: no aiprism server answers at ")) == (1, True)


def test_something_else_that_answers_there_is_not_taken_for_a_server(aiprism: Run) -> None:
    with pretended({"/aiprism/v1/services": lambda *_: (502, b"<html>bad gateway</html>")}) as server:
        assert aiprism("services", "--server", server.url) == (
            1, "", "aiprism: the server answered HTTP 502: <html>bad gateway</html>\n"
        )  # fmt: skip
    with pretended({"/aiprism/v1/services": lambda *_: (200, b"hello")}) as server:
        status, _, err = aiprism("services", "--server", server.url)
        assert (status, err) == (
            1,
            f"aiprism: what answers at {server.url} is no aiprism server: "
            "/aiprism/v1/services gave text/plain instead of JSON\n",
        )


def test_a_reader_that_has_seen_enough_gets_no_traceback() -> None:
    command = f"{sys.executable} -m aiprism --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stderr == ""


@pytest.mark.parametrize("module", ["printing"])
def test_the_examples_in_the_docstrings_hold(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"aiprism.cli.{module}")).failed == 0


def test_a_bare_installation_is_told_what_to_install(aiprism: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.text", None)
    for module in [name for name in sys.modules if name.startswith("aiprism.cli.")]:
        monkeypatch.delitem(sys.modules, module)
    status, _, err = aiprism("services", "--server", "http://127.0.0.1:1")
    assert (status, err.endswith("run: pip install 'aiprism[server]'\n")) == (1, True)


def test_a_server_that_cannot_listen_says_so_and_leaves_the_store_whole(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "aiprism", "serve", "--data", str(tmp_path), "--listen", address]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (refused.returncode, address in refused.stderr) == (1, True)
    # The store was being opened meanwhile: it is closed, not left in the middle of making its tables.
    engine = f"Engine.open('chdb:///{tmp_path}/telemetry').query('SELECT max(version) FROM schema_version')"
    script = f"from aiprism.store.engine import Engine; print({engine})"
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert int(seen.stdout.strip("[(,)]\n")) >= 7


@pytest.mark.parametrize(
    ("arguments", "server", "output"),
    [
        (["incidents", "--server", "a"], "a", "table"),
        (["incidents", "--server", "a", "-o", "json", "list"], "a", "json"),
        (["incidents", "list", "--server", "b"], "b", "table"),
        (["incidents", "--server", "a", "show", "last", "--server", "b"], "b", "table"),
    ],
)
def test_a_server_may_be_named_before_or_after_what_is_asked_of_it(
    arguments: list[str], server: str, output: str
) -> None:
    wanted = parser().parse_args(arguments)
    assert (wanted.server, wanted.output) == (server, output)
