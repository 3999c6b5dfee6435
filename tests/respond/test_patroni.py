"""`postgresql:` steps with `patroni`: the real one with two members, and what it says only in rare moments from a double."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from aiprism import yamlfile
from aiprism.clock import SystemClock
from aiprism.respond.actions import postgresql
from aiprism.respond.actions.act import Order
from tests.pgcluster import eventually, free_ports, programs
from tests.respond.making import serving


def step(urls, *, timeout=60.0, folder=Path(), **stated):
    """What comes of a step as a runbook has it."""
    text = json.dumps({"patroni": list(urls), "dead_for": "1s", **stated})
    params = postgresql.read(yamlfile.parse(text, file=str(folder / "runbook.yml")))
    actuator = postgresql.PostgreSQL(lambda query, at: [], SystemClock())
    return asyncio.run(actuator.act(Order(params, "RUN_1_0", timeout, "runbook:x for INC_1")))


class Members:
    """Two members of a real cluster, and a third voice that keeps no data: Patroni with its own Raft on loopback."""

    def __init__(self, directory: Path, user: str | None) -> None:
        self._directory, self._user = directory, user
        self._rafts, self._ports, self._apis = free_ports(3), free_ports(2), free_ports(2)
        self.urls = [f"http://127.0.0.1:{port}" for port in self._apis]
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for at, name in enumerate(("n1", "n2")):
            self._launch("patroni", name, self._raft(at) | self._member(at, name))
        self._launch("patroni_raft_controller", "n3", self._raft(2))
        eventually(self._up, "a leader and a standby")

    def cluster(self) -> dict[str, dict[str, object]]:
        for url in self.urls:
            try:
                members = httpx.get(f"{url}/cluster", timeout=5).json()["members"]
            except httpx.HTTPError:
                continue
            return {each["name"]: each for each in members}
        return {}

    def leader(self) -> str:
        return next((name for name, each in self.cluster().items() if each["role"] == "leader"), "")

    def pause(self) -> None:
        """From now on Patroni elects nobody by itself."""
        httpx.patch(f"{self.urls[0]}/config", json={"pause": True}, auth=("op", "pw"), timeout=5).raise_for_status()

    def kill(self, name: str) -> None:
        """The machine of a member is gone: Patroni and PostgreSQL at once."""
        gone = self._running.pop(name)
        gone.kill()
        os.kill(self._postmaster(name), signal.SIGKILL)
        gone.wait()

    def end(self) -> None:
        for each in self._running.values():
            each.kill()
            each.wait()
        # PostgreSQL lives on without Patroni; which of its servers runs just now is not said anywhere else.
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self._directory) in argument for argument in process.info["cmdline"] or ()):
                process.kill()
        eventually(lambda: not any(self._listens(name) for name in self._running), "the servers have ended")

    def _up(self) -> bool:
        assert all(each.poll() is None for each in self._running.values()), self._logs()
        cluster = self.cluster()
        return bool(self.leader()) and [each.get("lag", 0) for each in cluster.values()] == [0, 0]

    def _listens(self, name: str) -> bool:
        at = ("n1", "n2", "n3").index(name)
        with socket.socket() as probe:
            return at < 2 and probe.connect_ex(("127.0.0.1", self._ports[at])) == 0

    def _postmaster(self, name: str) -> int:
        return int((self._directory / name / "data" / "postmaster.pid").read_text().split()[0])

    def _logs(self) -> str:
        return "\n".join(each.read_text() for each in self._directory.glob("*.log"))

    def _raft(self, at: int) -> dict[str, object]:
        voices = [f"127.0.0.1:{port}" for port in self._rafts]
        others = [each for each in voices if each != voices[at]]
        raft = {"data_dir": str(self._directory / f"raft{at}"), "self_addr": voices[at], "partner_addrs": others}
        return {"scope": "documents", "name": f"n{at + 1}", "raft": raft}

    def _member(self, at: int, name: str) -> dict[str, object]:
        api, server = f"127.0.0.1:{self._apis[at]}", f"127.0.0.1:{self._ports[at]}"
        access = {"username": "op", "password": "pw"}
        # A busy machine must not cost a leader its lock.
        dcs = {"ttl": 12, "loop_wait": 1, "retry_timeout": 4, "postgresql": {"parameters": {"fsync": "off"}}}
        return {
            "restapi": {"listen": api, "connect_address": api, "authentication": access},
            "bootstrap": {"dcs": dcs, "initdb": [{"auth": "trust"}, {"encoding": "UTF8"}, "no-sync"]},
            "postgresql": {
                "listen": server,
                "connect_address": server,
                "data_dir": str(self._directory / name / "data"),
                "pgpass": str(self._directory / f"{name}.pass"),
                "bin_dir": str(programs()),
                "authentication": {
                    "superuser": {"username": "postgres", "password": "a"},
                    "replication": {"username": "copy", "password": "b"},
                },
                "parameters": {"unix_socket_directories": ""},
            },
        }

    def _launch(self, program: str, name: str, settings: dict[str, object]) -> None:
        file, home = self._directory / f"{name}.json", self._directory / name
        file.write_text(json.dumps(settings), encoding="utf-8")
        home.mkdir()
        if self._user:
            shutil.chown(home, self._user)
        with (self._directory / f"{name}.log").open("wb") as log:
            # Debian's, on Debian's Python: ours may lie where another user cannot read.
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8"}
            self._running[name] = subprocess.Popen(
                [f"/usr/bin/{program}", str(file)], cwd=home, user=self._user, stdout=log, stderr=log, env=environment
            )


@pytest.fixture(scope="module")
def members():
    programs()
    if not Path("/usr/bin/patroni_raft_controller").exists() or not Path("/usr/share/doc/python3-pysyncobj").exists():
        why = "Patroni is not installed: apt-get install -y --no-install-recommends patroni python3-pysyncobj"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    user = "nobody" if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="aiprism-patroni-"))
    if user:
        shutil.chown(directory, user)
    made = Members(directory, user)
    try:
        made.start()
        yield made
    finally:
        made.end()
        shutil.rmtree(directory)


def test_patroni_switches_over_and_fails_over_when_it_is_told_to(members, tmp_path):
    first = members.leader()
    second = "n2" if first == "n1" else "n1"
    (tmp_path / "access").write_text("op:pw\n", encoding="utf-8")
    access = {"credentials_file": "access", "folder": tmp_path}

    done = step(members.urls, **access)
    assert (done.ok, done.message) == (
        False,
        f"{first} leads and answers: a planned change is action: switchover",
    )
    refused = step(members.urls, action="switchover", **{"from": first})
    assert refused.message == f"Patroni refuses the switchover to {second}: HTTP 401: no auth header received"
    assert members.leader() == first

    done = step(members.urls, action="switchover", **access, **{"from": first})
    assert done.ok, done.message
    assert (done.data["primary"], done.data["promoted"]) == (second, True)
    assert (done.data["timeline_before"], done.data["timeline_after"], done.data["lag_bytes"]) == (1, 2, 0)
    assert members.leader() == second
    again = step(members.urls, action="switchover", **access, **{"from": first})
    assert (again.ok, again.message) == (True, f"{second} leads already")
    eventually(lambda: httpx.get(f"{members.urls[0]}/history", timeout=5).json(), "the history tells of the new leader")
    assert step(members.urls, **access).message == f"{second} leads already"  # it does since a moment ago

    eventually(lambda: members.cluster()[first].get("lag") == 0, "the old leader follows")
    members.pause()
    members.kill(second)
    done = step(members.urls, **access)
    assert done.ok, done.message
    assert (done.data["primary"], done.data["timeline_after"]) == (first, 3)
    assert done.message.startswith(f"{first} leads ")
    assert members.leader() == first


# -- what Patroni says in rare moments, said by a double ---------------------------------------------------------------


class Double:
    """Answers /cluster with one list of members after the other, the last one for ever."""

    def __init__(self) -> None:
        self.clusters: list[list[dict[str, object]]] = [[]]
        self.leading: set[str] = set()
        self.refusal = ""
        self.ordered: list[tuple[str, object]] = []
        routes = [
            Route("/cluster", self._cluster),
            Route("/history", lambda request: JSONResponse([])),
            Route("/{name}/primary", self._primary),
            Route("/{what}", self._order, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)
        self.url = ""

    def member(self, name, role="replica", *, lag: object = 0, timeline=1):
        leads = {} if role == "leader" else {"lag": lag}
        address = f"{self.url}/{name}/patroni"
        return {"name": name, "role": role, "state": "running", "timeline": timeline, "api_url": address, **leads}

    def _cluster(self, request):
        members = self.clusters.pop(0) if len(self.clusters) > 1 else self.clusters[0]
        return JSONResponse({"members": members})

    def _primary(self, request):
        return JSONResponse({}, 200 if request.path_params["name"] in self.leading else 503)

    async def _order(self, request):
        body = await request.json()
        self.ordered.append((request.path_params["what"], body))
        if self.refusal:
            return PlainTextResponse(self.refusal, 412)
        self.leading.add(body["candidate"])
        self.clusters[:] = [[self.member(body["candidate"], "leader", timeline=2)]]
        return PlainTextResponse("Successfully failed over")


@pytest.fixture
def double():
    made = Double()
    with serving(made.app) as client:
        made.url = str(client.base_url).rstrip("/")
        yield made


def test_who_patroni_elects_by_itself_needs_no_order(double):
    dead = [double.member("a", "leader"), double.member("b")]
    double.clusters = [dead, dead, [double.member("b", "leader", timeline=2)]]
    double.leading = {"b"}
    done = step([double.url])
    assert (done.ok, done.data["primary"], done.data["timeline_before"], done.data["timeline_after"]) == (
        True,
        "b",
        1,
        2,
    )
    assert "(Patroni elected it)" in done.message
    assert double.ordered == []


def test_the_member_with_the_least_lag_is_put_forward(double):
    double.clusters = [[double.member("b", lag=900), double.member("c", lag=5), double.member("d", lag="unknown")]]
    done = step(["http://127.0.0.1:9", double.url], timeout=8.0)
    assert done.ok, done.message
    assert (done.data["primary"], done.data["lag_bytes"]) == ("c", 5)
    assert double.ordered == [("failover", {"candidate": "c"})]


@pytest.mark.parametrize(
    ("members", "stated", "says"),
    [
        ([("b", 900)], {"max_lag": 100}, "b is 900 bytes of log behind, more than the 100 of max_lag"),
        ([("b", "unknown")], {}, "nobody can take over; Patroni's members: b (lag unknown)"),
        ([("b", 0)], {"to": "c"}, "c can take over; Patroni's members: b (lag 0)"),
    ],
)
def test_a_member_that_is_too_far_behind_is_not_put_forward(double, members, stated, says):
    double.clusters = [[double.member(name, lag=lag) for name, lag in members]]
    done = step([double.url], timeout=4.0, **stated)
    assert (done.ok, done.message) == (False, says)
    assert double.ordered == []


def test_what_patroni_refuses_is_told_in_its_own_words(double):
    double.clusters, double.refusal = [[double.member("b")]], "failover is not possible: no good candidates"
    done = step([double.url], timeout=4.0)
    assert done.message == "Patroni refuses the failover to b: HTTP 412: failover is not possible: no good candidates"


def test_a_leader_that_is_listed_but_does_not_answer_is_waited_for(double):
    double.clusters = [[double.member("a", "leader"), double.member("b")]]
    done = step([double.url], timeout=2.0)
    assert done.message == "Patroni takes a for the leader, which does not answer"
    assert double.ordered == []


def test_a_switchover_needs_a_leader_and_somebody_who_answers(double):
    double.clusters = [[double.member("b")]]
    needs = step([double.url], action="switchover", to="b")
    assert needs.message == "there is no leader to switch from: this needs action: failover"
    away = step(["http://127.0.0.1:9"], action="switchover", to="b")
    assert away.message == "none of http://127.0.0.1:9 answers as Patroni (ConnectError)"
