"""`process:` steps: start, stop, restart, kill, scale, deploy and roll back processes through a supervisor's HTTP API.

The step's key goes out as `Idempotency-Key`; the supervisor answers a repeated key as it did the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import httpx

from aiprism.errors import BadInput
from aiprism.respond.actions import shape
from aiprism.respond.actions.act import Done, Kind, Order
from aiprism.yamlfile import Node

_ACTIONS = ("start", "stop", "restart", "kill", "scale", "deploy", "rollback")
_NEEDED = {"scale": ("replicas",), "deploy": ("version",)}
_OPPOSITES = {"start": "stop", "stop": "start", "deploy": "rollback"}  # how many replicas there were we do not know


SHAPE = {
    **shape.record(
        "Processes of a supervisor (respond.supervisor_url)",
        {"service": shape.text("which service", minLength=1), "action": shape.choice("what to do with it", _ACTIONS)},
        {
            "replicas": shape.whole("how many, for scale"),
            "version": shape.text("which release, for deploy", minLength=1),
        },
    ),
    "allOf": [
        {
            "if": {"properties": {"action": {"const": action}}, "required": ["action"]},
            "then": {"required": [name], "properties": {name: {"not": {"type": "null"}}}},
            "else": {"properties": {name: {"type": "null"}}},
        }
        for action, name in (("scale", "replicas"), ("deploy", "version"))
    ],
}


def read(node: Node) -> Mapping[str, object]:
    """The parameters of `process: {service, action, replicas, version}`."""
    shape.known(node, SHAPE)
    action = node["action"].one_of(*_ACTIONS)
    params: dict[str, object] = {"service": node["service"].text(), "action": action}
    if (action == "scale") != bool(node["replicas"]):
        raise node.error("replicas belongs to action scale, which needs it")
    if (action == "deploy") != bool(node["version"]):
        raise node.error("version belongs to action deploy, which needs it")
    if action == "scale":
        params["replicas"] = node["replicas"].integer()
    if action == "deploy":
        params["version"] = node["version"].text()
    return params


def refuse_path(params: Mapping[str, object]) -> None:
    """BadInput for a service whose name would be another path at the supervisor."""
    service = str(params["service"])
    if not service or "/" in service or service in (".", ".."):
        raise BadInput(f"{service!r} cannot be the name of a process service")


class Process:
    """A supervisor at `url`, which asks for `token`."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), token

    async def act(self, order: Order) -> Done:
        if not self._url:
            return Done(False, "no supervisor is configured (respond.supervisor_url)")
        service, action = order.text("service"), order.text("action")
        if order.undoes is not None:
            action = _OPPOSITES[action]
        body = {name: order.params[name] for name in _NEEDED.get(action, ()) if name in order.params}
        address = f"{self._url}/processes/{quote(service, safe='')}/{action}"
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": order.key}
        try:
            async with httpx.AsyncClient(timeout=order.timeout, trust_env=False) as client:
                response = await client.post(address, json=body, headers=headers)
            answer = response.json()
        except httpx.HTTPError as error:
            return Done(False, f"the supervisor cannot be reached: {type(error).__name__}")
        except ValueError:
            return Done(False, f"the supervisor answered HTTP {response.status_code} without JSON")
        return _done(f"{action} {service}", response.status_code, answer)


def _done(what: str, status: int, answer: object) -> Done:
    said = answer if isinstance(answer, Mapping) else {}
    ok = status < 300 and said.get("ok") is True
    message = str(said.get("message") or said.get("error") or "")
    data = {"status": status, "pids": said.get("pids", [])}
    return Done(ok, f"{what}: {message or ('done' if ok else f'HTTP {status}')}", data)


KIND = Kind(
    shape=SHAPE,
    read=read,
    actuator=lambda means: Process(means.settings.supervisor_url, means.settings.supervisor_token),
    repeatable=lambda params: True,
    refuse=refuse_path,
    undoable=lambda params: params["action"] in _OPPOSITES,
)
