"""What steps do: processes of a supervisor, webhooks, allowed commands, and commands to services on the control channel."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import httpx
import pytest

from aiprism.clock import SystemClock
from aiprism.errors import BadInput, ConfigError, NotFound
from aiprism.respond.actions.act import Done, Order
from aiprism.respond.actions.command import Command
from aiprism.respond.actions.control import LIVE_SECONDS, Ack, Control, ControlHub, Instance, Poll, Wanted
from aiprism.respond.actions.process import Process
from aiprism.respond.actions.webhook import Webhook
from tests.respond.making import T0, receiver, until

BREAKER = {"name": "ai-model", "kind": "circuit_breaker", "state": {"open": False}}
POOL = {"name": "database", "kind": "pool", "state": {}}


def order(key="RUN_1_0", timeout=10.0, **params):
    return Order(params, key, timeout, "runbook:x for INC_1")


def act(actuator, given):
    return asyncio.run(actuator.act(given))


# -- process and webhook -----------------------------------------------------------------------------------------------


def test_a_process_step_asks_the_supervisor_with_its_token_and_key():
    with receiver() as there:
        there.body = b'{"ok": true, "service": "x", "pids": [7], "message": "healthy after 0.4 s"}'
        done = act(Process(there.url, "tok"), order(service="a/b", action="scale", replicas=3))
    assert done == Done(True, "scale a/b: healthy after 0.4 s", {"status": 200, "pids": [7]})
    [got] = there.got
    assert (got.path, got.body) == ("/processes/a%2Fb/scale", {"replicas": 3})
    assert (got.headers["authorization"], got.headers["idempotency-key"]) == ("Bearer tok", "RUN_1_0")


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b'{"ok": false, "message": "not healthy within 20 s"}', "restart x: not healthy within 20 s"),
        (401, b'{"error": "wrong token"}', "restart x: wrong token"),
        (404, b"{}", "restart x: HTTP 404"),
        (502, b"<html>", "the supervisor answered HTTP 502 without JSON"),
    ],
)
def test_a_process_step_fails_with_what_the_supervisor_says(status, body, says):
    with receiver() as there:
        there.body, there.answer = body, lambda got: (status, {})
        done = act(Process(there.url, "t"), order(service="x", action="restart"))
    assert (done.ok, done.message) == (False, says)


def test_a_supervisor_that_is_away_or_not_configured_fails_the_step():
    away = act(Process("http://127.0.0.1:9", "t"), order(service="x", action="stop"))
    assert away == Done(False, "the supervisor cannot be reached: ConnectError")
    assert "no supervisor is configured" in act(Process("", ""), order(service="x", action="stop")).message


def test_a_webhook_step_sends_its_body_key_and_token_file(tmp_path):
    (tmp_path / "token").write_text("tok\n", encoding="utf-8")
    with receiver() as there:
        params = {"url": f"{there.url}/fix", "method": "POST", "headers": {"X-A": "b"}, "body": {"n": 1}}
        done = act(Webhook(), order(**params, token_file=str(tmp_path / "token")))
        there.answer = lambda got: (409, {})
        refused = act(Webhook(), order(**params))
    assert done == Done(True, "127.0.0.1 answered HTTP 200", {"status": 200, "answer": "ok"})
    assert (refused.ok, refused.message) == (False, "127.0.0.1 answered HTTP 409")
    got = there.got[0]
    assert (got.path, got.body, got.headers["x-a"]) == ("/fix", {"n": 1}, "b")
    assert (got.headers["authorization"], got.headers["idempotency-key"]) == ("Bearer tok", "RUN_1_0")


# -- command -----------------------------------------------------------------------------------------------------------


def test_only_allowed_commands_run_and_no_shell_reads_their_arguments():
    echo = Command({"echo": f"{sys.executable} -c 'import sys; print(sys.argv[1:])'"})
    done = act(echo, order(name="echo", args=["$(id)", "; rm -rf /"]))
    assert done == Done(True, "echo exited 0", {"output": "['$(id)', '; rm -rf /']", "exit": 0})
    refused = act(echo, order(name="rm", args=[]))
    assert refused.message == "command 'rm' is not on the allow-list (respond.commands); allowed: echo"


def test_a_command_sees_its_key_and_none_of_our_environment(monkeypatch):
    monkeypatch.setenv("AIPRISM_CONTROL_TOKEN", "secret")
    show = Command({"env": f"{sys.executable} -c 'import os; print(sorted(os.environ.items()))'"})
    output = str(act(show, order(name="env")).data["output"])
    assert "RUN_1_0" in output
    assert "secret" not in output


def test_a_command_that_fails_or_does_not_exist_fails_the_step():
    commands = Command({"bad": f"{sys.executable} -c 'import sys; print(1); sys.exit(3)'", "none": "/no/such/program"})
    assert act(commands, order(name="bad")) == Done(False, "bad exited 3", {"output": "1", "exit": 3})
    assert act(commands, order(name="none")).message == "none cannot be started: No such file or directory"


def test_a_command_whose_time_is_over_is_ended_with_its_children(tmp_path):
    mark = tmp_path / "pid"
    child = f"import os, time; open('{mark}', 'w').write(str(os.getpid())); time.sleep(600)"
    program = f"{sys.executable} -c \"import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])\""

    async def cut_short():
        task = asyncio.create_task(Command({"slow": program}).act(order(name="slow", args=[child])))
        await until(lambda: mark.exists() and mark.read_text(), "the child to start")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cut_short())
    pid = int(mark.read_text())
    end = time.monotonic() + 20
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not _alive(pid)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_empty_or_unbalanced_command_line_is_a_config_error():
    for line in ("", "echo 'x"):
        with pytest.raises(ConfigError, match=r"respond\.commands\.x"):
            Command({"x": line})


# -- control -----------------------------------------------------------------------------------------------------------


class Service:
    """A service on the control channel, as the SDK behaves: polls, applies, acknowledges with its next poll."""

    def __init__(self, hub, instance="i1", service="ai", controls=(BREAKER, POOL), answer="applied"):
        self.hub, self.answer = hub, answer
        self.who = Instance(service, instance, "1.0", "test", 1, controls, 0.0)
        self.applied: list[str] = []
        self.undone: list[str] = []
        self._acks: tuple[Ack, ...] = ()

    async def poll(self, wait=0.0):
        answer = await self.hub.poll(Poll(self.who, self._acks, wait))
        acks = []
        for command in answer["commands"]:
            if command["id"] not in self.applied:
                self.applied.append(command["id"])
            acks.append(Ack(command["id"], self.answer, "because" if self.answer == "failed" else "", T0))
        for command_id in answer["revoked"]:
            self.undone.append(command_id)
            acks.append(Ack(command_id, "undone", "", T0))
        self._acks = tuple(acks)
        return answer

    async def rounds(self, count=2):
        for _ in range(count):
            await self.poll()


@pytest.fixture
def hub(records, clock):
    return ControlHub(records, clock)


OPEN = Wanted("ai", "ai-model", "open", ttl_seconds=60.0, reason="slow", actor="ann")


def test_a_command_reaches_every_live_instance_and_is_applied_when_all_said_so(hub, clock):
    async def live():
        one, two = Service(hub), Service(hub, "i2")
        await one.poll()
        await two.poll()
        command = hub.issue(OPEN)
        assert (command["kind"], command["ttl_seconds"], command["state"]) == ("circuit_breaker", 60.0, "pending")
        await one.rounds()
        assert hub.command(command["id"])["state"] == "pending"
        await two.rounds()
        assert hub.command(command["id"])["state"] == "applied"
        await one.rounds()
        assert one.applied == two.applied == [command["id"]]

    asyncio.run(live())


def test_what_an_instance_is_sent_is_the_commands_wire_form(hub, clock):
    async def live():
        service = Service(hub)
        await service.poll()
        command = hub.issue(OPEN)
        answer = await service.poll()
        assert answer == {
            "commands": [
                {
                    "id": command["id"], "control": "ai-model", "kind": "circuit_breaker", "action": "open",
                    "params": {}, "issued_at": clock.now(), "ttl_seconds": 60.0,
                }
            ],
            "revoked": [],
            "server_time": clock.now(),
        }  # fmt: skip

    asyncio.run(live())


def test_a_command_is_handed_out_again_until_it_is_acknowledged(hub):
    async def live():
        service = Service(hub)
        await service.poll()
        hub.issue(OPEN)
        for _ in range(2):
            answer = await hub.poll(Poll(service.who, (), 0.0))
            assert len(answer["commands"]) == 1

    asyncio.run(live())


def test_a_command_issued_while_nobody_is_there_waits_for_whoever_comes_until_it_expires(hub, clock):
    async def live():
        command = hub.issue(OPEN)
        await clock.advance(59)
        service = Service(hub)
        await service.rounds()
        assert service.applied == [command["id"]]
        late = hub.issue(OPEN)
        await clock.advance(61)
        await service.poll()
        assert service.applied == [command["id"]]
        assert hub.command(late["id"])["state"] == "expired"

    asyncio.run(live())


def test_an_instance_that_starts_later_is_not_told_what_others_did_already(hub, clock):
    async def live():
        service = Service(hub)
        await service.poll()
        hub.issue(Wanted("ai", "database", "reset"))
        await service.rounds()
        newcomer = Service(hub, "i2")
        await newcomer.rounds()
        assert newcomer.applied == []

    asyncio.run(live())


def test_a_command_whose_addressee_died_unheard_goes_to_its_successor(hub, clock):
    async def live():
        await Service(hub).poll()
        command = hub.issue(OPEN)
        successor = Service(hub, "i2")
        await successor.rounds()
        await clock.advance(LIVE_SECONDS + 1)
        await successor.poll()
        assert successor.applied == [command["id"]]

    asyncio.run(live())


def test_a_command_for_one_instance_reaches_no_other(hub):
    async def live():
        one, two = Service(hub), Service(hub, "i2")
        await one.poll()
        await two.poll()
        command = hub.issue(Wanted("ai", "ai-model", "open", instance="i2"))
        await one.rounds()
        await two.rounds()
        assert (one.applied, two.applied) == ([], [command["id"]])
        assert hub.command(command["id"])["state"] == "applied"

    asyncio.run(live())


def test_a_revoked_command_is_undone_where_it_was_applied_and_given_to_nobody_else(hub):
    async def live():
        service = Service(hub)
        await service.poll()
        command = hub.issue(OPEN)
        await service.rounds()
        assert hub.revoke(command["id"])["state"] == "pending"
        await service.rounds()
        assert service.undone == [command["id"]]
        assert hub.command(command["id"])["state"] == "undone"
        other = hub.issue(OPEN)
        hub.revoke(other["id"])
        await service.rounds()
        assert service.applied == [command["id"]]
        with pytest.raises(NotFound):
            hub.revoke("CMD_none")

    asyncio.run(live())


def test_commands_and_their_answers_survive_a_restart_of_the_platform(hub, records, clock):
    async def live():
        service = Service(hub)
        await service.poll()
        command = hub.issue(OPEN)
        service.hub = ControlHub(records, clock)  # the same database, an empty memory
        await service.rounds()
        assert service.applied == [command["id"]]
        assert service.hub.command(command["id"])["state"] == "applied"

    asyncio.run(live())


def test_a_waiting_poll_is_answered_at_once_when_a_command_is_issued(records):
    hub = ControlHub(records, SystemClock())

    async def live():
        service = Service(hub)
        await service.poll()
        waiting = asyncio.create_task(service.poll(wait=60.0))
        await asyncio.sleep(0)
        command = await asyncio.to_thread(hub.issue, OPEN)
        await asyncio.wait_for(waiting, 20)
        assert service.applied == [command["id"]]

    asyncio.run(live())


def test_a_poll_that_brings_acknowledgements_or_no_patience_does_not_wait(hub):
    async def live():
        service = Service(hub)
        service._acks = (Ack("CMD_of_another_platform", "applied", "", T0),)
        await asyncio.wait_for(service.poll(wait=25.0), 20)

    asyncio.run(live())


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted("ai", "ai-model", "fly"), "unknown action 'fly'; known: open, close, set"),
        (
            Wanted("ai", "modle", "open"),
            "ai has no circuit_breaker 'modle'; its controls: circuit_breaker ai-model, pool",
        ),
        (Wanted("ai", "ai-model", "open", ttl_seconds=-1.0), "ttl_seconds must be positive"),
    ],
)
def test_a_command_that_cannot_be_followed_is_refused(hub, wanted, says):
    async def live():
        await Service(hub).poll()
        with pytest.raises(BadInput, match=says):
            hub.issue(wanted)

    asyncio.run(live())


def test_instances_that_were_not_heard_from_for_long_are_not_live(hub, clock):
    async def live():
        await Service(hub).poll()
        assert [item.instance for item in hub.live()] == ["i1"]
        await clock.advance(LIVE_SECONDS + 1)
        assert hub.live() == []

    asyncio.run(live())


async def answering(service, working):
    """Keep the service polling while `working` is under way."""
    while not working.done():
        await service.poll()
        await asyncio.sleep(0.001)
    return await working


@pytest.mark.parametrize(
    ("answer", "done"),
    [("applied", (True, "open ai-model in ai: applied by 1 instance(s)")),
     ("failed", (False, "open ai-model in ai: refused: because"))],
)  # fmt: skip
def test_a_control_step_is_done_when_the_service_said_what_came_of_it(records, answer, done):
    hub = ControlHub(records, SystemClock())

    async def live():
        service = Service(hub, answer=answer)
        await service.poll()
        given = order(service="ai", control="ai-model", action="open", params={}, ttl_seconds=60.0)
        first = await answering(service, asyncio.create_task(Control(hub).act(given)))
        again = await answering(service, asyncio.create_task(Control(hub).act(given)))
        assert (first.ok, first.message) == done
        assert again.message == first.message
        assert service.applied == ["RUN_1_0"]

    asyncio.run(live())


def test_a_control_step_nobody_answers_fails_and_takes_its_command_back(hub, clock):
    async def live():
        acting = asyncio.create_task(Control(hub).act(order(service="ai", control="ai-model", action="open")))
        while not acting.done():
            await asyncio.sleep(0.002)
            await clock.advance(0.5)
        done = await acting
        assert "no live instance acknowledged it in time" in done.message
        service = Service(hub)
        await service.rounds()
        assert service.applied == []

    asyncio.run(live())


def test_a_control_step_for_a_control_that_does_not_exist_fails(hub):
    async def live():
        await Service(hub).poll()
        done = await Control(hub).act(order(service="ai", control="nope", action="open"))
        assert (done.ok, done.message.partition(";")[0]) == (False, "ai has no circuit_breaker 'nope'")

    asyncio.run(live())


def test_a_control_step_that_one_of_two_instances_refuses_is_taken_back_from_the_other(records):
    hub = ControlHub(records, SystemClock())

    async def live():
        good, bad = Service(hub, "good"), Service(hub, "bad", answer="failed")
        await good.poll()
        await bad.poll()
        given = order(service="ai", control="ai-model", action="open")
        acting = asyncio.create_task(Control(hub).act(given))
        while not acting.done():
            await good.poll()
            await bad.poll()
            await asyncio.sleep(0.001)
        done = await acting
        await good.rounds()
        assert (done.ok, done.message) == (False, "open ai-model in ai: refused: because")
        assert good.applied in (["RUN_1_0"], [])
        assert good.undone == good.applied
        assert hub.command("RUN_1_0")["revoked_at"] is not None

    asyncio.run(live())


def test_a_command_that_says_very_much_is_kept_by_its_end():
    talker = Command({"talk": f"{sys.executable} -c \"print('x' * 5_000_000); print('end')\""})
    output = str(act(talker, order(name="talk")).data["output"])
    assert (len(output), output[-5:]) == (2000, "x\nend")


def test_a_webhook_step_that_is_answered_drop_by_drop_ends_with_its_time(monkeypatch):
    async def drops():
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    real, transport = httpx.AsyncClient, httpx.MockTransport(lambda request: httpx.Response(200, content=drops()))
    monkeypatch.setattr(httpx, "AsyncClient", lambda **options: real(transport=transport))
    done = act(Webhook(), order(url="http://h/x", method="POST", timeout=0.2))
    assert done == Done(False, "h did not answer within 0.2 s")
