"""The control channel's platform side: who is there to be steered, what they were told, and what came of it.

Instrumented services poll (`web/control.py` carries it); people and runbooks issue commands. Live instances are kept
in memory and come back by themselves after a restart, because they poll; commands and acknowledgements are rows of the
control database. A command is for the instances that were live when it was issued; when nobody has acknowledged it
yet, also for whoever comes. An instance that starts later is not told what others already did: a pool that was reset
yesterday is not reset again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiprism.clock import Clock
from aiprism.errors import BadInput, NotFound
from aiprism.respond.actions import shape
from aiprism.respond.actions.act import Done, Kind, Order
from aiprism.respond.bell import Bell
from aiprism.store import incidents as store
from aiprism.store.records import Records
from aiprism.yamlfile import Node

# Every action names its kind of control, so a command can be addressed to a service we have not heard of yet.
ACTIONS: Mapping[str, str] = {
    "open": "circuit_breaker",
    "close": "circuit_breaker",
    "set": "traffic_weight",
    "reset": "pool",
    "inject": "fault_point",
    "clear": "fault_point",
}
_STATUSES = frozenset({"applied", "failed", "undone", "expired"})
# An instance polls every 25 s at the latest; twice that without a word and it is taken for gone.
LIVE_SECONDS = 50.0
# One that hung up is taken for gone sooner: a living one asks again at once.
HUNG_UP_SECONDS = 2.0
MAX_WAIT_SECONDS = 60.0
_FORGOTTEN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A process that polls. `controls` are what it registered: name, kind and present state."""

    service: str
    instance: str
    version: str
    environment: str
    pid: int
    controls: tuple[Mapping[str, object], ...]
    last_seen: float


@dataclass(frozen=True, slots=True)
class Ack:
    """What an instance says about a command."""

    command_id: str
    status: str
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll of an instance."""

    instance: Instance
    acks: tuple[Ack, ...] = ()
    wait_seconds: float = 25.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A command to be issued."""

    service: str
    control: str
    action: str
    instance: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    ttl_seconds: float | None = None
    reason: str = ""
    actor: str = ""


class ControlHub:
    """Live instances and their commands. Methods that block on the database are run in a thread."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock
        self._instances: dict[tuple[str, str], Instance] = {}
        self._live_until: dict[tuple[str, str], float] = {}
        self._bells: dict[tuple[str, str], Bell] = {}
        self._news = Bell()  # rung with every acknowledgement and revocation, for those who wait for an outcome

    # -- services ------------------------------------------------------------------------------------------------

    async def poll(self, poll: Poll) -> dict[str, Any]:
        """The commands that wait for this instance and the ids it must undo; at once when it brings
        acknowledgements or something waits, else after `wait_seconds` at most."""
        self._greet(poll.instance)
        if poll.acks:
            await asyncio.to_thread(self._keep, poll)
            self._news.ring()
        bell = self._bells[(poll.instance.service, poll.instance.instance)]
        answer = await asyncio.to_thread(self._waiting_for, poll.instance)
        until = self._clock.now() + min(max(0.0, poll.wait_seconds), MAX_WAIT_SECONDS)
        while not (answer["commands"] or answer["revoked"] or poll.acks) and self._clock.now() < until:
            await bell.wait(self._clock, until - self._clock.now())
            self._greet(poll.instance)
            answer = await asyncio.to_thread(self._waiting_for, poll.instance)
        return {**answer, "server_time": self._clock.now()}

    def hung_up(self, instance: Instance) -> None:
        """The connection of its poll broke. Whoever died is not waited for by commands to all of its service."""
        key = (instance.service, instance.instance)
        self._live_until[key] = min(self._live_until.get(key, 0.0), self._clock.now() + HUNG_UP_SECONDS)

    def live(self) -> list[Instance]:
        """The instances heard from lately, by service and instance."""
        now = self._clock.now()
        found = [item for key, item in list(self._instances.items()) if self._live_until[key] >= now]
        return sorted(found, key=lambda instance: (instance.service, instance.instance))

    # -- people and runbooks -------------------------------------------------------------------------------------

    def issue(self, wanted: Wanted, *, command_id: str = "") -> dict[str, Any]:
        """Keep a command and wake whom it is for; the same `command_id` again changes nothing. BadInput when no such
        action exists or the live service has no such control."""
        kind = self._kind(wanted)
        row: store.CommandRow = {
            "id": command_id or f"CMD_{uuid.uuid4().hex}",
            "service": wanted.service,
            "instance": wanted.instance or None,
            "control": wanted.control,
            "kind": kind,
            "action": wanted.action,
            "params": dict(wanted.params),
            "issued_at": self._clock.now(),
            "expires_at": None if wanted.ttl_seconds is None else self._clock.now() + wanted.ttl_seconds,
            "revoked_at": None,
            "reason": wanted.reason,
            "actor": wanted.actor,
        }
        addressed = [item for item in self.live() if _is_for(row, item)]
        with self._records.begin() as connection:
            if store.put_command(connection, row):
                # "pending" marks whom it was meant for, so that who comes later is not taken for one of them.
                store.put_acks(
                    connection, [_ack_row(row["id"], item, "pending", row["issued_at"]) for item in addressed]
                )
        self._wake(wanted.service)
        return self.command(row["id"])

    def command(self, command_id: str) -> dict[str, Any]:
        """A command with its acknowledgements and state: pending, applied, failed, undone or expired."""
        with self._records.reading() as connection:
            row = store.command_row(connection, command_id)
            acks = store.ack_rows(connection, [command_id])
        if row is None:
            raise NotFound(f"no command {command_id!r}")
        ttl = None if row["expires_at"] is None else row["expires_at"] - row["issued_at"]
        said = [{name: value for name, value in ack.items() if name != "command_id"} for ack in acks]
        return {**row, "ttl_seconds": ttl, "acks": said, "state": self._state(row, acks)}

    def revoke(self, command_id: str) -> dict[str, Any]:
        """Have a command undone wherever it was applied, and given to nobody else."""
        service = self.command(command_id)["service"]
        with self._records.begin() as connection:
            store.revoke_command(connection, command_id, self._clock.now())
        self._wake(service)
        return self.command(command_id)

    async def settled(self, command_id: str, timeout: float) -> dict[str, Any]:
        """The command once its state is no longer pending, or as it is after `timeout` seconds."""
        until = self._clock.now() + timeout
        while True:
            command = await asyncio.to_thread(self.command, command_id)
            left = until - self._clock.now()
            if command["state"] != "pending" or left <= 0:
                return command
            await self._news.wait(self._clock, min(left, 1.0))  # instances also just go away, which rings no bell

    # -- inside --------------------------------------------------------------------------------------------------

    def _greet(self, instance: Instance) -> None:
        key = (instance.service, instance.instance)
        now = self._clock.now()
        self._live_until[key] = now + LIVE_SECONDS
        self._instances[key] = replace(instance, last_seen=now)
        self._bells.setdefault(key, Bell())
        for gone in [key for key, item in self._instances.items() if item.last_seen < now - _FORGOTTEN_SECONDS]:
            del self._instances[gone], self._bells[gone], self._live_until[gone]

    def _keep(self, poll: Poll) -> None:
        with self._records.begin() as connection:
            known = [ack for ack in poll.acks if store.command_row(connection, ack.command_id) is not None]
            rows = [
                store.AckRow(
                    command_id=ack.command_id,
                    instance=poll.instance.instance,
                    status=ack.status,
                    message=ack.message,
                    at=ack.at,
                )
                for ack in known
                if ack.status in _STATUSES
            ]
            store.put_acks(connection, rows)

    def _waiting_for(self, instance: Instance) -> dict[str, Any]:
        now = self._clock.now()
        with self._records.reading() as connection:
            rows = [row for row in store.commands_for(connection, instance.service, now) if _is_for(row, instance)]
            acks = store.ack_rows(connection, [row["id"] for row in rows])
        commands, revoked = [], []
        for row in rows:
            said = {ack["instance"]: ack["status"] for ack in acks if ack["command_id"] == row["id"]}
            mine = said.get(instance.instance)
            if row["revoked_at"] is not None:
                if mine == "applied":
                    revoked.append(row["id"])
            elif mine == "pending" or (mine is None and set(said.values()) <= {"pending"}):
                commands.append(_wire(row))
        return {"commands": commands, "revoked": revoked}

    def _state(self, row: store.CommandRow, acks: Sequence[store.AckRow]) -> str:
        live = {item.instance for item in self.live() if _is_for(row, item)}
        said = {ack["status"] for ack in acks if ack["status"] != "pending"}
        waiting = any(ack["status"] == "pending" and ack["instance"] in live for ack in acks)
        if row["revoked_at"] is not None:
            held = any(ack["status"] == "applied" and ack["instance"] in live for ack in acks)
            return "pending" if held else "undone"
        if "failed" in said:
            return "failed"
        if row["expires_at"] is not None and row["expires_at"] <= self._clock.now():
            return "expired"
        if waiting or not said:
            return "pending"
        return "applied" if "applied" in said else "expired" if "expired" in said else "undone"

    def _kind(self, wanted: Wanted) -> str:
        kind = ACTIONS.get(wanted.action)
        if kind is None:
            raise BadInput(f"unknown action {wanted.action!r}; known: {', '.join(ACTIONS)}")
        if wanted.ttl_seconds is not None and not 0 < wanted.ttl_seconds < 1e9:
            raise BadInput("ttl_seconds must be positive")
        there = [item for item in self.live() if item.service == wanted.service]
        offered = {(str(control.get("kind")), str(control.get("name"))) for item in there for control in item.controls}
        if there and (kind, wanted.control) not in offered:
            known = ", ".join(f"{kind} {name}" for kind, name in sorted(offered)) or "none"
            raise BadInput(f"{wanted.service} has no {kind} {wanted.control!r}; its controls: {known}")
        return kind

    def _wake(self, service: str) -> None:
        for (name, _), bell in list(self._bells.items()):
            if name == service:
                bell.ring()
        self._news.ring()


class Control:
    """`control:` steps: a command to a service, done once every live instance has applied it."""

    def __init__(self, hub: ControlHub) -> None:
        self._hub = hub

    async def act(self, order: Order) -> Done:
        if order.undoes is not None:
            return await self._undo(order, order.undoes.key)
        ttl, params = order.params.get("ttl_seconds"), order.params.get("params")
        wanted = Wanted(
            service=order.text("service"),
            control=order.text("control"),
            action=order.text("action"),
            instance=order.text("instance"),
            params=params if isinstance(params, Mapping) else {},
            ttl_seconds=float(str(ttl)) if ttl is not None else None,
            reason=order.reason,
            actor="runbook",
        )
        try:
            command = await asyncio.to_thread(self._hub.issue, wanted, command_id=order.key)
        except BadInput as error:
            return Done(False, str(error))
        command = await self._hub.settled(command["id"], order.timeout)
        if command["state"] != "applied":
            # The step counts as failed: nobody may follow it later, and whoever did (one of three) takes it back.
            await asyncio.to_thread(self._hub.revoke, command["id"])
        return _outcome(wanted, command)

    async def _undo(self, order: Order, command_id: str) -> Done:
        """Whoever applied the command takes it back, to what was before."""
        what = f"undo {order.text('action')} {order.text('control')} in {order.text('service')}"
        try:
            await asyncio.to_thread(self._hub.revoke, command_id)
        except NotFound:  # the platform died before it was issued
            return Done(True, f"{what}: it was never issued")
        command = await self._hub.settled(command_id, order.timeout)
        undone = command["state"] == "undone"
        why = "done" if undone else f"{command['state']}; not every live instance took it back in time"
        return Done(undone, f"{what}: {why}", {"command_id": command_id, "state": command["state"]})


SHAPE = shape.record(
    "A command to an instrumented service",
    {
        "service": shape.text("which service", minLength=1),
        "control": shape.text("which of its controls", minLength=1),
        "action": shape.choice("what to do with it", ACTIONS),
    },
    {
        "instance": shape.text("one instance only; all of them when not given"),
        "params": {"type": "object", "description": "what the action takes, as {weights: {…}} for set"},
        "ttl": shape.duration("after this time the service takes it back by itself"),
    },
)


def read(node: Node) -> Mapping[str, object]:
    """The parameters of `control: {service, instance, control, action, params, ttl}`."""
    shape.known(node, SHAPE)
    node["params"].entries()
    return {
        "service": node["service"].text(),
        "instance": node["instance"].text(""),
        "control": node["control"].text(),
        "action": node["action"].one_of(*ACTIONS),
        "params": node["params"].plain() or {},
        "ttl_seconds": node["ttl"].seconds() if node["ttl"] else None,
    }


def _outcome(wanted: Wanted, command: Mapping[str, Any]) -> Done:
    said = [ack for ack in command["acks"] if ack["status"] != "pending"]
    data = {"command_id": command["id"], "state": command["state"], "acks": said}
    what = f"{wanted.action} {wanted.control} in {wanted.service}"
    if command["state"] == "applied":
        return Done(True, f"{what}: applied by {len(said)} instance(s)", data)
    if any(ack["status"] == "failed" for ack in said):  # also when it was revoked because of that
        reasons = "; ".join(ack["message"] for ack in said if ack["status"] == "failed")
        return Done(False, f"{what}: refused: {reasons}", data)
    return Done(False, f"{what}: {command['state']}; no live instance acknowledged it in time", data)


def _is_for(row: store.CommandRow, instance: Instance) -> bool:
    return row["service"] == instance.service and row["instance"] in (None, instance.instance)


def _ack_row(command_id: str, instance: Instance, status: str, at: float) -> store.AckRow:
    return {"command_id": command_id, "instance": instance.instance, "status": status, "message": "", "at": at}


def _wire(row: store.CommandRow) -> dict[str, Any]:
    ttl = None if row["expires_at"] is None else row["expires_at"] - row["issued_at"]
    names = {"id", "control", "kind", "action", "params", "issued_at"}
    return {name: value for name, value in row.items() if name in names} | {"ttl_seconds": ttl}


KIND = Kind(
    shape=SHAPE,
    read=read,
    actuator=lambda means: means.control,
    repeatable=lambda params: True,
    undoable=lambda params: params["action"] != "reset",  # which acts once and is over
)
