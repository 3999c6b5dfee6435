"""`postgresql:` steps on a real primary with two standbys: what is refused, then a crash, and everything that follows.

The tests stand in the order of the story; each leaves the cluster as the next one needs it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest

from aiprism import yamlfile
from aiprism.clock import SystemClock
from aiprism.errors import BadInput, ConfigError
from aiprism.respond.actions import postgresql
from aiprism.respond.actions.act import Order
from aiprism.store import standbys
from tests.pgcluster import PASSWORD, Cluster, cluster, eventually


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with cluster(standbys=2, folder=tmp_path_factory.mktemp("failover")) as made:
        # As docs/actuators.md has it: no superuser.
        made.nodes[0].ask("CREATE ROLE failover LOGIN IN ROLE pg_monitor")
        made.nodes[0].ask("GRANT EXECUTE ON FUNCTION pg_promote TO failover")
        yield made


def failover(servers: Cluster, *, url="", position=None, timeout=120.0, **stated):
    """What comes of a step as a runbook has it."""
    servers.file.write_text((url or servers.url(user="failover")) + "\n", encoding="utf-8")
    text = "".join(f"{name}: {value}\n" for name, value in {"dead_for": "300ms", **stated}.items())
    node = yamlfile.parse(
        f"connection_file: {servers.file.name}\n{text}", file=str(servers.file.parent / "runbook.yml")
    )
    step = postgresql.PostgreSQL(lambda query, at: [({}, position)] if position else [], SystemClock())
    done = asyncio.run(step.act(Order(postgresql.read(node), "RUN_1_0", timeout, "runbook:x for INC_1")))
    assert PASSWORD not in repr(done)
    return done


def told(servers: Cluster, part: str, **stated):
    """What comes of a step once it says this: on a busy machine a server may be too slow for one look."""
    kept = []

    def says_so() -> bool:
        kept.append(failover(servers, **stated))
        return part in kept[-1].message

    eventually(says_so, f"{part!r} is said; last: {kept[-1:]}")
    return kept[-1]


@contextmanager
def cut_off(node):
    """The standby receives nothing; what it missed it gets afterwards."""
    upstream = node.ask("SHOW primary_conninfo")
    node.ask("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
    node.ask("SELECT pg_reload_conf()")
    eventually(lambda: node.ask("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == 0, "cut off")
    yield
    if upstream:
        node.ask("ALTER SYSTEM RESET primary_conninfo")


class Writer:
    """Somebody who writes on and on, and remembers what was acknowledged."""

    def __init__(self, servers: Cluster) -> None:
        self.acknowledged: list[int] = []
        self._stop = threading.Event()
        self._url = f"{servers.url()}?target_session_attrs=read-write&connect_timeout=2"
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()

    def _write(self):
        number = 0
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True) as there:
                    while not self._stop.is_set():
                        number += 1
                        there.execute("INSERT INTO written VALUES (%s)", (number,))
                        self.acknowledged.append(number)
            except psycopg.OperationalError:
                time.sleep(0.05)


def test_nobody_is_promoted_beside_a_primary_that_answers(servers):
    primary = servers.nodes[0]
    done = told(servers, f"{primary.name} is primary and answers: a second one would split the data; fence it first")
    assert not done.ok
    assert [each["name"] for each in done.data["servers"]] == [node.name for node in servers.nodes]
    assert done.data["servers"][0]["role"] == "primary"
    assert [node.ask("SELECT pg_is_in_recovery()") for node in servers.nodes] == [False, True, True]


def test_a_primary_that_hangs_is_alive(servers):
    primary = servers.nodes[0]
    primary.freeze()
    try:
        says = f"nobody is promoted: {primary.name} accepts connections and may be the primary, alive"
        assert not told(servers, says, timeout=5.0).ok
    finally:
        primary.thaw()


def test_a_primary_that_only_we_cannot_reach_is_alive(servers):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen, so that nobody answers there
        nowhere = held.getsockname()[1]
        url = servers.url(*servers.nodes[1:], port=nowhere, user="failover")
        says = "still receives the log of its primary, which is alive and only out of our reach"
        assert not told(servers, says, url=url, timeout=3.0).ok


def test_the_step_says_what_its_file_lacks_and_never_what_it_holds(servers):
    assert "names 1 hosts" in failover(servers, url=f"postgresql://tester:{PASSWORD}@127.0.0.1:1/postgres").message
    assert "is no libpq connection string" in failover(servers, url=f"password='{PASSWORD} x").message
    assert "names no hosts" in failover(servers, url=f"host=/run/a,/run/b password={PASSWORD}").message
    servers.file.unlink()
    step = postgresql.PostgreSQL(lambda query, at: [], SystemClock())
    gone = Order({"connection_file": str(servers.file), "max_lag": 1, "max_missing": 1, "dead_for": 1}, "k", 5.0, "x")
    assert (
        asyncio.run(step.act(gone)).message
        == f"connection_file {servers.file} cannot be read: No such file or directory"
    )


def test_after_a_crash_the_standby_with_every_acknowledged_write_follows(servers):
    primary, behind, near = servers.nodes
    primary.ask("CREATE TABLE written (number bigint PRIMARY KEY)")
    primary.ask(f"ALTER SYSTEM SET synchronous_standby_names = 'n{near.port}'")
    primary.ask("SELECT pg_reload_conf()")
    eventually(lambda: primary.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1, "sync")
    position = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
    with cut_off(behind), Writer(servers) as writer:
        eventually(lambda: len(writer.acknowledged) > 50, "something is written")
        known = int(primary.ask(position))
        primary.kill()
        before = len(writer.acknowledged)

        # The one that was cut off has too little of it, by what the other has and by what is remembered of the primary.
        says = "bytes of log behind, more than the 1024 of max_lag: they would be lost"
        assert not told(servers, says, to=behind.name, max_lag="1kB").ok
        says = "bytes of log behind, more than the 524288 of max_lag"
        remembered = {"last_position": "max(wal_position)", "position": known + 2**20}
        assert not told(servers, says, max_lag="512kB", **remembered).ok
        unknown = failover(servers, last_position="max(wal_position)")
        assert unknown.message.startswith("how far the primary was is not known, so nobody is promoted")
        assert near.ask("SELECT pg_is_in_recovery()")

        done = failover(servers, last_position="max(wal_position)", position=known)
        assert done.ok, done.message
        eventually(lambda: len(writer.acknowledged) > before + 50, "writing goes on")
    kept = near.ask("SELECT array_agg(number) FROM written")
    assert set(writer.acknowledged) - set(kept) == set()
    data = done.data
    assert (data["primary"], data["promoted"], data["lag_bytes"]) == (near.name, True, 0)
    assert (data["timeline_before"], data["timeline_after"]) == (1, 2)
    assert data["seconds_since_last_commit"] >= data["seconds"] > 0
    assert f"{near.name} is primary and takes writes" in done.message
    assert f"timeline 1 → 2; {behind.name} must be told to follow it" in done.message


def test_an_order_that_is_repeated_changes_nothing(servers):
    near = servers.nodes[2]
    for stated in ({}, {"from": servers.nodes[0].name}, {"to": near.name}):
        done = told(servers, f"{near.name} is primary already, since", **stated)
        assert (done.ok, done.data["promoted"], done.data["timeline_after"]) == (True, False, 2)
    # Called failed itself, it is a primary that answers.
    assert not told(servers, f"{near.name} is primary and answers", **{"from": near.name}).ok


def test_a_primary_whose_commits_wait_for_nobody_is_no_repair(servers):
    near = servers.nodes[2]
    near.ask("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
    near.ask("SELECT pg_reload_conf()")
    eventually(lambda: near.ask("SHOW synchronous_standby_names") == "gone", "the setting is taken over")
    says = "commits wait for synchronous_standby_names = 'gone', none of which is connected: reset it there"
    assert not told(servers, says).ok


def test_a_second_primary_is_told_as_a_split_brain(servers):
    _, behind, near = servers.nodes
    behind.ask("SELECT pg_promote()")
    assert not told(servers, f"split brain: {behind.name} and {near.name} are primaries at once").ok


def test_a_standby_that_was_promoted_meanwhile_is_no_failure(servers):
    behind = servers.nodes[1]
    [address] = [each for name, each in standbys.addresses(servers.url()).items() if name == behind.name]
    asyncio.run(standbys.promote(address, 5.0))
    assert asyncio.run(standbys.take_write(address)).timeline == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("action: failover", "has connection_file \\(the servers themselves\\) or patroni, and not both"),
        ("{connection_file: a, patroni: [http://b]}", "and not both"),
        ("{connection_file: a, action: switchover}", "a switchover needs Patroni"),
        ("{connection_file: 'a${labels.x}'}", "may not hold a placeholder"),
        ("{connection_file: a, max_lag: 3 parsecs}", "expected a size as in 16MB"),
        ("{connection_file: a, last_position: 'max('}", "not PromQL"),
        ("{connection_file: a, last_position: 'max(x{a=\"${labels.x}\"})'}", "no placeholder stands here"),
        ("{patroni: [http://b], last_position: x}", "belongs to connection_file"),
        ("{patroni: ['http://${labels.x}']}", "expected the http\\(s\\) addresses"),
        ("{patroni: [ftp://b]}", "expected the http\\(s\\) addresses"),
        ("{patroni: [http://b], action: switchover}", "a switchover needs from or to"),
        ("{connection_file: a, lag: 1}", "unknown key 'lag'"),
    ],
)
def test_mistakes_are_found_when_the_runbook_is_read(text, says):
    with pytest.raises(ConfigError, match=says):
        postgresql.read(yamlfile.parse(text, file="runbook.yml"))


def test_files_stand_beside_the_runbook_and_sizes_are_bytes():
    found = postgresql.read(
        yamlfile.parse("{connection_file: secrets/url, max_lag: 2MB}", file="/etc/aiprism/runbook.yml")
    )
    assert (found["connection_file"], found["max_lag"]) == ("/etc/aiprism/secrets/url", 2**21)


def test_a_connection_string_names_every_server_with_its_port():
    found = standbys.addresses("host=a,b port=5433 user=u target_session_attrs=read-write")
    assert list(found) == ["a:5433", "b:5433"]
    assert found["a:5433"]["dbname"] == "postgres"
    assert "target_session_attrs" not in found["a:5433"]
    with pytest.raises(BadInput, match="2 hosts and 3 ports"):
        standbys.addresses("host=a,b port=1,2,3")
