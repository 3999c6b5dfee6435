"""The part of Elasticsearch's HTTP API that shippers of logs use: bulk and single documents in, and their handshakes.

In: requests of Filebeat, Logstash, Fluent Bit, Vector, rsyslog and Elasticsearch's own clients. Out: answers in the shapes
they check. Templates, lifecycle policies and pipelines are acknowledged and have no effect here: aiprism has one schema.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiprism import __version__
from aiprism.clock import Clock
from aiprism.config import IngestConfig
from aiprism.errors import Refused, Unsupported
from aiprism.receive import elastic_bulk
from aiprism.receive.doors import OtlpDoors, Signal
from aiprism.receive.elastic_bulk import AcceptedBulk, Outcome
from aiprism.web.bodies import body_of, retry_headers

# Clients ask for at least some version of their own age; this one speaks the API used here.
SPOKEN_VERSION = "8.19.0"
_NAME = "aiprism"
_UUID = "aiprismaiprismaiprism1"
_SHARDS = {"total": 1, "successful": 1, "failed": 0}
_ERROR_TYPES = {
    408: "timeout_exception",
    413: "content_too_long_exception",
    415: "media_type_header_exception",
    429: "es_rejected_execution_exception",
    503: "unavailable_shards_exception",
}
# Who asks for `/` and means Elasticsearch. Browsers, curl and scripts get the page.
_SHIPPERS = re.compile(
    r"(?i)elastic|beat/|beat-|logstash|manticore|fluent-?bit|fluentd|vector/|rsyslog|faraday|kibana|opensearch"
)
_COMPATIBLE = re.compile(r"application/vnd\.elasticsearch\+json\s*;\s*compatible-with=\d+")


def root(request: Request) -> Response | None:
    """What `/` says to a client of Elasticsearch; None to everybody else."""
    accept = request.headers.get("accept", "")
    if "text/html" in accept:
        return None
    if "json" in accept or _SHIPPERS.search(request.headers.get("user-agent", "")):
        return _answer(request, _PRODUCT)
    return None


def router(doors: OtlpDoors, config: IngestConfig, clock: Clock) -> APIRouter:
    """Bulk, single documents and handshakes."""
    routes = APIRouter(tags=["receive"])
    _writes(routes, doors, config, clock)
    _handshakes(routes)
    return routes


# -- documents in ----------------------------------------------------------------------------------------------------


def _writes(routes: APIRouter, doors: OtlpDoors, config: IngestConfig, clock: Clock) -> None:
    async def bulk(request: Request, index: str = "") -> Response:
        started = clock.now()
        try:
            _check_kind(request)
            body = await body_of(request, config)
            within = doors.bounds(Signal.LOGS)
            decode = partial(elastic_bulk.bulk, now_ns=int(started * 1e9), new_id=_ids(), index=index, within=within)
            taken = await doors.take(Signal.LOGS, "elastic", body, decode)
        except Refused as refused:
            return _refusal(request, refused)
        return _answer(request, _bulk_answer(taken, clock.now() - started))

    async def one(request: Request, index: str, identity: str = "") -> Response:
        try:
            _check_kind(request)
            body = await body_of(request, config)
            within, now_ns = doors.bounds(Signal.LOGS), int(clock.now() * 1e9)
            decode = partial(elastic_bulk.one, now_ns=now_ns, index=index, identity=identity, within=within)
            await doors.take(Signal.LOGS, "elastic", body, decode)
        except Refused as refused:
            return _refusal(request, refused)
        return _answer(request, _created(Outcome("create", index, identity or _ids()())), 201)

    for path, methods, endpoint in (
        ("/_bulk", ["POST", "PUT"], bulk),
        ("/{index}/_bulk", ["POST", "PUT"], bulk),
        ("/{index}/_doc", ["POST"], one),
        ("/{index}/_doc/{identity}", ["POST", "PUT"], one),
        ("/{index}/_create/{identity}", ["POST", "PUT"], one),
    ):
        routes.add_api_route(
            path, endpoint, methods=methods, summary="Elasticsearch: documents as log records", response_class=Response,
            operation_id=f"elastic{path}", include_in_schema=methods == ["POST"] or path == "/_bulk",
        )  # fmt: skip


def _check_kind(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if "json" not in kind:
        raise Unsupported(
            f"Content-Type header [{kind}] is not supported; send application/x-ndjson or application/json"
        )


def _ids() -> Callable[[], str]:
    """Ids for the documents of one request: one random part, then a number."""
    start, numbers = secrets.token_urlsafe(12), count()
    return lambda: f"{start}{next(numbers):04x}"


def _bulk_answer(taken: AcceptedBulk, seconds: float) -> dict[str, Any]:
    items = [{each.operation: _failed(each) if each.reason else _created(each, status=201)} for each in taken.outcomes]
    return {"errors": taken.rejected > 0, "took": max(0, round(seconds * 1000)), "items": items}


def _created(outcome: Outcome, **more: int) -> dict[str, Any]:
    return {
        "_index": outcome.index,
        "_id": outcome.id,
        "_version": 1,
        "result": "created",
        "_shards": _SHARDS,
        "_seq_no": 0,
        "_primary_term": 1,
        **more,
    }


def _failed(outcome: Outcome) -> dict[str, Any]:
    error = {"type": outcome.error, "reason": outcome.reason}
    return {"_index": outcome.index, "_id": outcome.id, "status": 400, "error": error}


# -- answers ---------------------------------------------------------------------------------------------------------


def _answer(
    request: Request, document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    wanted = request.query_params.get("filter_path", "")
    body = orjson.dumps(filtered(document, wanted.split(",")) if wanted else document)
    spoken = _COMPATIBLE.search(request.headers.get("accept", ""))
    kind = spoken[0] if spoken else "application/json"
    # Clients of Elasticsearch refuse to talk to a server that does not say so.
    return Response(body, status, {"X-Elastic-Product": "Elasticsearch", **(headers or {})}, media_type=kind)


def _refusal(request: Request, refused: Refused) -> Response:
    cause = {"type": _ERROR_TYPES.get(refused.status, "illegal_argument_exception"), "reason": str(refused)}
    error = {"root_cause": [cause], **cause}
    return _answer(request, {"error": error, "status": refused.status}, refused.status, retry_headers(refused))


def filtered(document: Mapping[str, Any], patterns: Sequence[str]) -> dict[str, Any]:
    """What `filter_path` leaves of `document`: dotted names, `*` for any part, `**` for any depth, `-` to leave out.

    >>> filtered({"errors": True, "took": 3, "items": [{"index": {"status": 201, "_id": "1"}}]}, ["errors", "items.*.status"])
    {'errors': True, 'items': [{'index': {'status': 201}}]}
    """
    wanted = [pattern.split(".") for pattern in patterns if pattern and not pattern.startswith("-")]
    unwanted = [pattern[1:].split(".") for pattern in patterns if pattern.startswith("-")]
    kept = _kept(document, wanted) if wanted else document
    left = _without(kept, unwanted) if unwanted else kept
    return left if isinstance(left, dict) else {}


def _kept(value: Any, patterns: Sequence[Sequence[str]]) -> Any:
    if any(not pattern or list(pattern) == ["**"] for pattern in patterns):
        return value
    if isinstance(value, list):
        return [kept for each in value if (kept := _kept(each, patterns)) not in (None, {}, [])] or None
    if not isinstance(value, dict):
        return None
    found = {key: kept for key, each in value.items() if (kept := _kept_at(key, each, patterns)) not in (None, {}, [])}
    return found or None


def _kept_at(key: str, value: Any, patterns: Sequence[Sequence[str]]) -> Any:
    onward = _onward(key, patterns)
    return _kept(value, onward) if onward else None


def _without(value: Any, patterns: Sequence[Sequence[str]]) -> Any:
    if isinstance(value, list):
        return [_without(each, patterns) for each in value]
    if not isinstance(value, dict):
        return value
    left = {}
    for key, each in value.items():
        onward = _onward(key, patterns)
        if not any(not pattern for pattern in onward):
            left[key] = _without(each, onward) if onward else each
    return left


def _onward(key: str, patterns: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """What is left of the patterns that match `key`, one level further down."""
    onward: list[Sequence[str]] = []
    for pattern in patterns:
        head = pattern[0]
        if head == "**":
            onward.append(pattern)
            onward += [pattern[2:]] if pattern[1:] and _matches(pattern[1], key) else []
        elif _matches(head, key):
            onward.append(pattern[1:])
    return onward


def _matches(pattern: str, key: str) -> bool:
    first, *others = pattern.split("*")
    if not others:
        return pattern == key
    if not key.startswith(first) or not key.endswith(others[-1]) or len(key) < len(first) + len(others[-1]):
        return False
    at = len(first)
    for part in others[:-1]:
        at = key.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return at <= len(key) - len(others[-1])


# -- handshakes ------------------------------------------------------------------------------------------------------

_PRODUCT = {
    "name": _NAME,
    "cluster_name": _NAME,
    "cluster_uuid": _UUID,
    "version": {
        "number": SPOKEN_VERSION,
        "build_flavor": "default",
        "build_type": "aiprism",
        "build_hash": __version__,
        "build_date": "2026-01-01T00:00:00Z",
        "build_snapshot": False,
        "lucene_version": "9.12.0",
        "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    },
    "tagline": "You Know, for Search",
}
_LICENSE = {
    "license": {
        "status": "active",
        "uid": _UUID,
        "type": "basic",
        "issue_date": "2026-01-01T00:00:00.000Z",
        "issue_date_in_millis": 1_767_225_600_000,
        "max_nodes": 1000,
        "max_resource_units": None,
        "issued_to": _NAME,
        "issuer": _NAME,
        "start_date_in_millis": -1,
    }
}
_XPACK = {
    "build": {"hash": __version__, "date": "2026-01-01T00:00:00Z"},
    "license": {"uid": _UUID, "type": "basic", "mode": "basic", "status": "active"},
    "features": {
        "ilm": {"available": True, "enabled": True},
        "data_streams": {"available": True, "enabled": True},
        "monitoring": {"available": False, "enabled": False},
        "security": {"available": False, "enabled": False},
    },
    "tagline": "You know, for X",
}
_HEALTH = {
    "cluster_name": _NAME,
    "status": "green",
    "timed_out": False,
    "number_of_nodes": 1,
    "number_of_data_nodes": 1,
    "active_primary_shards": 1,
    "active_shards": 1,
    "relocating_shards": 0,
    "initializing_shards": 0,
    "unassigned_shards": 0,
    "delayed_unassigned_shards": 0,
    "number_of_pending_tasks": 0,
    "number_of_in_flight_fetch": 0,
    "task_max_waiting_in_queue_millis": 0,
    "active_shards_percent_as_number": 100.0,
}


def _nodes(request: Request) -> dict[str, Any]:
    """One node, at the address the client used: a client that follows addresses must come back here."""
    address = request.headers.get("host", "127.0.0.1:9090")
    node = {
        "name": _NAME,
        "transport_address": address,
        "host": address.rpartition(":")[0] or address,
        "ip": address.rpartition(":")[0] or address,
        "version": SPOKEN_VERSION,
        "build_flavor": "default",
        "build_type": "aiprism",
        "build_hash": __version__,
        "roles": ["data", "ingest", "master"],
        "http": {"bound_address": [address], "publish_address": address, "max_content_length_in_bytes": 104_857_600},
    }
    return {"_nodes": _SHARDS, "cluster_name": _NAME, "nodes": {_UUID: node}}


def _index_template(name: str) -> dict[str, Any]:
    template = {"index_patterns": [f"{name}*"], "priority": 0, "template": {}, "composed_of": []}
    return {"index_templates": [{"name": name, "index_template": template}]}


def _policy(name: str) -> dict[str, Any]:
    return {name: {"version": 1, "modified_date": "2026-01-01T00:00:00.000Z", "policy": {"phases": {}}}}


def _alias(name: str) -> dict[str, Any]:
    return {name: {"aliases": {name: {"is_write_index": True}}}}


def _data_stream(name: str) -> dict[str, Any]:
    stream = {
        "name": name,
        "timestamp_field": {"name": "@timestamp"},
        "indices": [],
        "generation": 1,
        "status": "GREEN",
    }
    return {"data_streams": [stream]}


# Things by name: they are there already when asked for, and acknowledged when put.
_NAMED: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "/_index_template/{name}": _index_template,
    "/_component_template/{name}": lambda name: {
        "component_templates": [{"name": name, "component_template": {"template": {}}}]
    },
    "/_template/{name}": lambda name: {name: {"order": 0, "index_patterns": [f"{name}*"], "settings": {}}},
    "/_ilm/policy/{name}": _policy,
    "/_alias/{name}": _alias,
    "/{index}/_alias/{name}": _alias,
    "/_data_stream/{name}": _data_stream,
    "/_ingest/pipeline/{name}": lambda name: {name: {"description": "not run by aiprism", "processors": []}},
    "/{name}": lambda name: {"acknowledged": True, "shards_acknowledged": True, "index": name},
}


def _handshakes(routes: APIRouter) -> None:
    def add(path: str, endpoint: Callable[..., Any], methods: Sequence[str]) -> None:
        routes.add_api_route(path, endpoint, methods=list(methods), include_in_schema=False, response_class=Response)

    for path, document in (
        ("/_license", _LICENSE),
        ("/_xpack", _XPACK),
        ("/_cluster/health", _HEALTH),
        ("/_cluster/health/{index}", _HEALTH),
        ("/_ilm/status", {"operation_mode": "RUNNING"}),
    ):
        add(path, _says(document), ("GET", "HEAD"))

    async def nodes(request: Request) -> Response:
        return _answer(request, _nodes(request))

    for path in ("/_nodes", "/_nodes/http", "/_nodes/_all/http", "/_nodes/_local"):
        add(path, nodes, ("GET",))

    async def refreshed(request: Request) -> Response:
        return _answer(request, {"_shards": _SHARDS})

    for path in ("/_refresh", "/{index}/_refresh", "/_flush", "/{index}/_flush"):
        add(path, refreshed, ("POST", "GET"))

    for path, document_of in _NAMED.items():
        # GET of an index alone is not served: one-part paths belong to pages.
        add(path, _there(document_of), ("HEAD",) if path == "/{name}" else ("GET", "HEAD"))
        add(path, _put(document_of if path == "/{name}" else None), ("PUT", "POST") if path != "/{name}" else ("PUT",))


def _says(document: Mapping[str, Any]) -> Callable[..., Any]:
    async def say(request: Request) -> Response:
        return _answer(request, document)

    return say


def _there(document_of: Callable[[str], dict[str, Any]]) -> Callable[..., Any]:
    async def there(request: Request, name: str) -> Response:
        return _answer(request, document_of(name))

    return there


def _put(document_of: Callable[[str], dict[str, Any]] | None) -> Callable[..., Any]:
    async def put(request: Request, name: str) -> Response:
        return _answer(request, document_of(name) if document_of else {"acknowledged": True})

    return put
