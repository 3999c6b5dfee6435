"""`webhook:` steps: one HTTP request to something that can repair what we cannot.

The step's key goes out as `Idempotency-Key`. A bearer token stands in a file (`token_file`), never in the runbook: runs
and their steps are shown to people.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from aiprism.respond.actions import shape
from aiprism.respond.actions.act import Done, Kind, Order
from aiprism.respond.beginning import PLAIN, beginning
from aiprism.yamlfile import Node

_METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET")
_KEPT = 500
_AUTHORITY_AND_AFTER = re.compile(r"(?<![:/])[/?#]")  # the first of these that does not belong to "://"


SHAPE = shape.record(
    "One HTTP request",
    {"url": shape.text("where to; a placeholder may stand behind the first / after the host", pattern="^https?://")},
    {
        "method": shape.choice("POST when not given", _METHODS),
        "headers": shape.texts("headers of the request"),
        "body": shape.anything("sent as JSON"),
        "token_file": shape.text("file with a bearer token"),
    },
)


def read(node: Node) -> Mapping[str, object]:
    """The parameters of `webhook: {url, method, headers, body, token_file}`; a status below 300 is success."""
    shape.known(node, SHAPE)
    url = node["url"].text()
    if urlsplit(url).scheme not in ("http", "https"):
        raise node["url"].error("expected an http(s) URL")
    # What an alert says may choose a path at most, never whom we talk to or which file we read.
    if "${" in _AUTHORITY_AND_AFTER.split(url, maxsplit=1)[0]:
        raise node["url"].error("a placeholder may stand behind the first / after the host only")
    if "${" in node["token_file"].text(""):
        raise node["token_file"].error("a file's name may not hold a placeholder")
    return {
        "url": url,
        "method": node["method"].one_of(*_METHODS, default="POST"),
        "headers": node["headers"].mapping(),
        "body": node["body"].plain(),
        "token_file": str(Path(node.file).parent / node["token_file"].text()) if node["token_file"] else "",
    }


class Webhook:
    """Sends requests; each step brings its own address."""

    async def act(self, order: Order) -> Done:
        host = urlsplit(order.text("url")).hostname or "the receiver"
        try:
            # httpx counts its timeout anew with every byte; the step has this much altogether.
            async with (
                asyncio.timeout(order.timeout),
                httpx.AsyncClient(timeout=order.timeout, trust_env=False) as client,
                client.stream(
                    order.text("method"), order.text("url"), json=order.params.get("body"), headers=_headers(order)
                ) as response,
            ):
                said = (await beginning(response)).strip()[:_KEPT]
        except TimeoutError:
            return Done(False, f"{host} did not answer within {order.timeout:g} s")
        except OSError as error:
            return Done(False, f"the token file cannot be read: {error.strerror}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Done(False, f"{host} cannot be reached: {type(error).__name__}")
        data = {"status": response.status_code, "answer": said}
        return Done(response.is_success, f"{host} answered HTTP {response.status_code}", data)


def _headers(order: Order) -> dict[str, str]:
    stated = order.params.get("headers")
    headers = {str(name): str(value) for name, value in stated.items()} if isinstance(stated, Mapping) else {}
    if order.text("token_file"):
        token = Path(order.text("token_file")).read_text(encoding="utf-8").strip()
        headers["Authorization"] = f"Bearer {token}"
    return {**headers, **PLAIN, "Idempotency-Key": order.key}


def _repeatable(params: Mapping[str, object]) -> bool:
    """GET, PUT and DELETE are idempotent by RFC 9110, 9.2.2; of a POST its author must say so."""
    return params.get("method") in ("GET", "PUT", "DELETE")


KIND = Kind(shape=SHAPE, read=read, actuator=lambda means: Webhook(), repeatable=_repeatable)
