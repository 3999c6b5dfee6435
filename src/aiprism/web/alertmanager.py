"""Alertmanager's API v2: what Prometheus, Grafana and amtool post and ask. Decode, call, encode; `respond` decides.

Status codes and error texts are those of Alertmanager 0.25, `muted` and `mutedBy` those of 0.28. `/api/v2/spans` beside
it is Zipkin's (`agents`).
"""

from __future__ import annotations

import asyncio
import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Connection

from aiprism import __version__, jsontext
from aiprism.clock import Clock
from aiprism.errors import BadInput, NotFound
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels, Matcher, MatchOp, compiled, matches_all
from aiprism.respond import board, matcher
from aiprism.respond.board import Standing, StandingGroup
from aiprism.respond.known import alert_fingerprint
from aiprism.respond.mute.silences import Silence, in_order
from aiprism.respond.responder import Responder

T = TypeVar("T")

_URI = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*:|/)\S*")


class _Wrong(Exception):
    """An answer that is an error: with a code in go-openapi's form, else the bare text."""

    def __init__(self, status: int, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    def answer(self) -> Response:
        body = self.message if self.code is None else {"code": self.code, "message": self.message}
        return JSONResponse(body, self.status)


def router(responder: Responder, clock: Clock, new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> APIRouter:
    """The routes under /api/v2, less Zipkin's."""
    routes = APIRouter(prefix="/api/v2", tags=["alertmanager"])
    begun = clock.now()

    async def read(look: Callable[[Connection], T]) -> T:
        def inside() -> T:
            with responder.records.reading() as connection:
                return look(connection)

        return await asyncio.to_thread(inside)

    @routes.get("/status", summary="Version, configuration (secrets hidden) and cluster")
    async def status() -> Response:
        return JSONResponse(_status(responder.policy.routing.text, begun))

    @routes.get("/receivers", summary="The receivers of alertmanager.yml")
    async def receivers() -> Response:
        return JSONResponse([{"name": name} for name in responder.policy.routing.receivers])

    @routes.get("/alerts", summary="Alerts that are not over, with what mutes them")
    async def alerts(request: Request) -> Response:
        try:
            wanted = _wanted(request)
        except _Wrong as wrong:
            return wrong.answer()
        now, routing = clock.now(), responder.policy.routing
        standing = await read(lambda connection: board.alerts(connection, responder.pipeline.holding(connection)))
        found = [each for each in standing if wanted(each)]
        told = [_alert(each, now, routing.resolve_timeout) for each in found if wanted.told_to(each.receivers)]
        return JSONResponse(sorted(told, key=lambda each: str(each["fingerprint"])))

    @routes.get("/alerts/groups", summary="Aggregation groups with their alerts")
    async def groups(request: Request) -> Response:
        try:
            wanted = _wanted(request)
        except _Wrong as wrong:
            return wrong.answer()
        now, routing = clock.now(), responder.policy.routing
        standing = await read(lambda connection: board.groups(connection, responder.pipeline.holding(connection)))
        found = [group.only(wanted) for group in standing if wanted.told_to([group.receiver])]
        return JSONResponse(_groups([group for group in found if group.alerts], now, routing.resolve_timeout))

    @routes.post("/alerts", summary="Take alerts", openapi_extra=_JSON_BODY)
    async def post_alerts(request: Request) -> Response:
        try:
            items = _body(request, await request.body(), "alerts", list, "models.PostableAlerts")
            posted = [_posted(number, item) for number, item in enumerate(items)]
        except _Wrong as wrong:
            return wrong.answer()
        now, timeout = clock.now(), responder.policy.routing.resolve_timeout
        faults = [fault for each in posted if (fault := each.fault(now))]
        taken = [each.alert(now, timeout) for each in posted if not each.fault(now)]
        await asyncio.to_thread(responder.accept, taken)
        return JSONResponse("; ".join(faults), 400) if faults else Response()

    @routes.get("/silences", summary="Silences: those that hold, those to come, those that are over")
    async def silences(request: Request) -> Response:
        try:
            filters = _filters(request)
        except _Wrong as wrong:
            return wrong.answer()
        now = clock.now()
        found = [each for each in await read(board.silences) if set(filters) <= set(each.matchers)]
        return JSONResponse([_silence(each, now) for each in in_order(found, now)])

    @routes.post("/silences", summary="Make a silence, or change one", openapi_extra=_JSON_BODY)
    async def post_silence(request: Request) -> Response:
        now = clock.now()
        try:
            wanted = _wanted_silence(
                _body(request, await request.body(), "silence", dict, "models.PostableSilence"), now
            )
            kept = await asyncio.to_thread(responder.pipeline.put_silence, wanted, new_id())
        except _Wrong as wrong:
            return wrong.answer()
        except NotFound:
            return JSONResponse("silence not found", 404)
        except BadInput as error:
            return JSONResponse(str(error), 400)
        return JSONResponse({"silenceID": kept})

    @routes.get("/silence/{silence_id}", summary="One silence")
    async def silence(silence_id: str) -> Response:
        if fault := _no_uuid(silence_id):
            return fault.answer()
        found = [each for each in await read(board.silences) if each.id == silence_id]
        return JSONResponse(_silence(found[0], clock.now())) if found else Response(status_code=404)

    @routes.delete("/silence/{silence_id}", summary="End a silence")
    async def end_silence(silence_id: str) -> Response:
        if fault := _no_uuid(silence_id):
            return fault.answer()
        try:
            await asyncio.to_thread(responder.pipeline.end_silence, silence_id)
        except NotFound:
            return JSONResponse("silence not found", 404)
        return Response()

    return routes


_JSON_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}}


# -- what is asked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which alerts a request is about."""

    matchers: tuple[Matcher, ...]
    active: bool
    silenced: bool
    inhibited: bool
    muted: bool
    receiver: str

    def __call__(self, standing: Standing) -> bool:
        return (
            (self.active or standing.suppressed)
            and (self.silenced or not standing.silenced_by)
            and (self.inhibited or not standing.inhibited_by)
            and (self.muted or not standing.muted_by)
            and matches_all(self.matchers, standing.alert.labels)
        )

    def told_to(self, receivers: Iterable[str]) -> bool:
        return not self.receiver or any(compiled(self.receiver).fullmatch(each) for each in receivers)


def _wanted(request: Request) -> _Wanted:
    def flag(name: str) -> bool:
        # go-openapi takes these words for yes and any other for no.
        return request.query_params.get(name, "true").lower() in ("true", "1", "yes", "ok", "y", "on", "selected", "t")

    receiver = request.query_params.get("receiver", "")
    try:
        compiled(receiver)
    except BadInput as error:
        raise _Wrong(400, f"failed to parse receiver param: {error}") from None
    return _Wanted(_filters(request), flag("active"), flag("silenced"), flag("inhibited"), flag("muted"), receiver)


def _filters(request: Request) -> tuple[Matcher, ...]:
    found: list[Matcher] = []
    for text in request.query_params.getlist("filter"):
        try:
            found += matcher.parsed(text)
        except BadInput as error:
            said = str(error)
            raise _Wrong(
                400, f"bad matcher format: {text}" if said.startswith("bad matcher format") else said
            ) from None
    return tuple(found)


# -- what is posted --------------------------------------------------------------------------------------------------

_GO_WORDS = {dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "bool"}


def _body(request: Request, body: bytes, what: str, kind: type[T], go_type: str) -> T:
    media = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if media != "application/json":
        raise _Wrong(415, f'unsupported media type "{media}", only [application/json] are allowed', 415)
    if not body.strip():
        raise _Wrong(422, f"{what} in body is required", 602)
    try:
        read = jsontext.loads(body)
    except (ValueError, RecursionError) as error:
        raise _unread(what, str(error)) from None
    if read is None:
        return kind()
    if not isinstance(read, kind):
        raise _unread(what, f"json: cannot unmarshal {_GO_WORDS[type(read)]} into Go value of type {go_type}")
    return read


def _unread(what: str, why: str) -> _Wrong:
    return _Wrong(400, f'parsing {what} body from "" failed, because {why}', 400)


@dataclass(frozen=True, slots=True)
class _Posted:
    """One alert as it was posted; times that were not given are None."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float | None
    ends_at: float | None
    source: str

    def fault(self, now: float) -> str:
        """What is wrong with it in Alertmanager's words, or an empty string."""
        labels = {name: value for name, value in self.labels.items() if value}
        if self.ends_at is not None and self.ends_at < self._begin(now):
            return "start time must be before end time"
        if "" in labels:
            return 'invalid label set: invalid name ""'
        if not labels:
            return "at least one label pair required"
        return 'invalid annotations: invalid name ""' if "" in self.annotations else ""

    def _begin(self, now: float) -> float:
        if self.starts_at is not None:
            return self.starts_at
        return now if self.ends_at is None else self.ends_at

    def alert(self, now: float, timeout: float) -> Alert:
        """The alert as it is taken at `now`; one whose end is not named is over after `timeout`."""
        begin, end = self._begin(now), now + timeout if self.ends_at is None else self.ends_at
        over = end <= now
        return Alert(
            labels=Labels(self.labels),
            annotations=Labels(self.annotations),
            state=AlertState.RESOLVED if over else AlertState.FIRING,
            value=math.nan,
            active_at=begin,
            fired_at=begin,
            resolved_at=end if over else None,
            source=self.source,
            ends_at=end,
            presumed=self.ends_at is None,
        )


def _posted(number: int, item: object) -> _Posted:
    if not isinstance(item, dict):
        raise _unread("alerts", f"json: cannot unmarshal {_GO_WORDS.get(type(item), 'null')} into Go value")
    labels, source = _texts(item, "labels"), item.get("generatorURL") or ""
    if labels is None:
        raise _Wrong(422, f"{number}.labels in body is required", 602)
    if not isinstance(source, str) or (source and not _URI.fullmatch(source)):
        raise _Wrong(422, f'{number}.generatorURL in body must be of type uri: "{source}"', 601)
    return _Posted(
        labels=labels,
        annotations=_texts(item, "annotations") or {},
        starts_at=_moment(item.get("startsAt"), "alerts"),
        ends_at=_moment(item.get("endsAt"), "alerts"),
        source=source,
    )


def _texts(item: Mapping[str, Any], key: str) -> Mapping[str, str] | None:
    given = item.get(key)
    if given is None:
        return None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _unread("alerts", f"json: cannot unmarshal {key} that are not texts into Go struct field of type string")
    return given


def _moment(text: object, what: str) -> float | None:
    """Unix seconds of an RFC 3339 time; None for Go's zero time."""
    if text is None or text == "":
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise _unread(what, f'parsing time "{text}": write it as in 2026-11-23T14:15:00Z') from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None if moment.year == 1 else moment.timestamp()


def _wanted_silence(item: Mapping[str, Any], now: float) -> Silence:
    for key in ("comment", "createdBy", "endsAt", "matchers", "startsAt"):
        if item.get(key) is None:
            raise _Wrong(422, f"{key} in body is required", 602)
    if not isinstance(item["matchers"], list) or not item["matchers"]:
        raise _Wrong(422, "matchers in body should have at least 1 items", 612)
    begin, end = _moment(item["startsAt"], "silence"), _moment(item["endsAt"], "silence")
    if begin is None or end is None:
        raise _Wrong(422, "startsAt and endsAt in body are required", 602)
    if begin >= end:
        raise _Wrong(400, "Failed to create silence: start time must be before end time")
    if end < now:
        raise _Wrong(400, "Failed to create silence: end time can't be in the past")
    matchers = tuple(_silence_matcher(number, each) for number, each in enumerate(item["matchers"]))
    return Silence(str(item.get("id") or ""), matchers, begin, end, now, str(item["createdBy"]), str(item["comment"]))


def _silence_matcher(number: int, item: object) -> Matcher:
    given = item if isinstance(item, dict) else {}
    for key in ("name", "value", "isRegex"):
        if given.get(key) is None:
            raise _Wrong(422, f"matchers.{number}.{key} in body is required", 602)
    if not given["name"]:
        raise _Wrong(400, f'silence invalid: invalid label matcher {number}: invalid label name ""')
    equal, regex = given.get("isEqual", True) is not False, given["isRegex"] is True
    op = (MatchOp.REGEX if equal else MatchOp.NOT_REGEX) if regex else (MatchOp.EQUAL if equal else MatchOp.NOT_EQUAL)
    try:
        return matcher.matcher(str(given["name"]), op, str(given["value"]))
    except BadInput as error:
        raise _Wrong(400, f"silence invalid: invalid label matcher {number}: invalid {error}") from None


def _no_uuid(text: str) -> _Wrong | None:
    try:
        uuid.UUID(text)
    except ValueError:
        return _Wrong(422, f'silenceID in path must be of type uuid: "{text}"', 601)
    return None


# -- what is answered ------------------------------------------------------------------------------------------------


def _alert(standing: Standing, now: float, timeout: float) -> dict[str, Any]:
    alert = standing.alert
    return {
        "annotations": alert.annotations.to_dict(),
        # One whose detector will say when it is over ends no sooner than one that was posted now.
        "endsAt": _time(now + timeout if math.isinf(alert.ends_at) else alert.ends_at),
        "fingerprint": alert_fingerprint(alert.labels),
        "receivers": [{"name": name} for name in standing.receivers],
        "startsAt": _time(alert.starts_at),
        "status": {
            "state": "suppressed" if standing.suppressed else "active",
            "silencedBy": list(standing.silenced_by),
            "inhibitedBy": [alert_fingerprint(labels) for labels in standing.inhibited_by],
            "mutedBy": list(standing.muted_by),
        },
        "updatedAt": _time(alert.updated_at),
        **({"generatorURL": alert.source} if alert.source else {}),
        "labels": alert.labels.to_dict(),
    }


def _groups(groups: Sequence[StandingGroup], now: float, timeout: float) -> list[dict[str, Any]]:
    # Of the receivers of an alert only those are named here whose groups are shown.
    receivers: dict[str, list[str]] = {}
    for group in groups:
        for each in group.alerts:
            receivers.setdefault(each.alert.fingerprint, []).append(group.receiver)
    return [
        {
            "alerts": [
                _alert(replace(each, receivers=tuple(sorted(receivers[each.alert.fingerprint]))), now, timeout)
                for each in group.alerts
            ],
            "labels": group.labels.to_dict(),
            "receiver": {"name": group.receiver},
        }
        for group in groups
    ]


def _silence(silence: Silence, now: float) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(now).value},
        "updatedAt": _time(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": _time(silence.ends_at),
        "matchers": [
            {
                "isEqual": each.op in (MatchOp.EQUAL, MatchOp.REGEX),
                "isRegex": each.op in (MatchOp.REGEX, MatchOp.NOT_REGEX),
                "name": each.name,
                "value": each.value,
            }
            for each in silence.matchers
        ],
        "startsAt": _time(silence.starts_at),
    }


def _status(config: str, begun: float) -> dict[str, Any]:
    unknown: Sequence[str] = ("branch", "buildDate", "buildUser", "goVersion", "revision")
    return {
        "cluster": {"name": "", "peers": [], "status": "disabled"},
        "config": {"original": config},
        "uptime": _time(begun),
        "versionInfo": {**dict.fromkeys(unknown, ""), "version": __version__},
    }


def _time(seconds: float) -> str:
    """As strfmt.DateTime writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
