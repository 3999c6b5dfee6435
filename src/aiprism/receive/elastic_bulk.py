r"""Elasticsearch's bulk requests, as Filebeat, Logstash, Fluent Bit, Vector, rsyslog and its own clients send them.

In: NDJSON of actions and documents. Out: `AcceptedBulk`: the documents as log records, and what became of each action in
the order they came, from which web/elastic.py makes the answer. Fields are read as fields.py reads them (ECS among
others); a data stream's name becomes `data_stream.*`, any other index name is kept as `elasticsearch.index`.

Log records are only ever added here, so `index` and `create` both add one, and `update` and `delete` are item errors.
An `_id` the sender chose is kept as `elasticsearch.id`; it does not make a record unique.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from aiprism.errors import BadInput
from aiprism.receive import fields
from aiprism.receive.items import Bounds
from aiprism.receive.loglines import LogLines, Value, nanoseconds
from aiprism.receive.otlp import Accepted

_ADDING = ("index", "create")
_OPERATIONS = (*_ADDING, "update", "delete")
_DATA_STREAM = re.compile(r"(logs|metrics|traces|synthetics|profiling)-([^-]{1,100})-([^-]{1,100})")
# logstash-2026.11.24 and the like: the date is no part of who sent it.
_DATE = re.compile(r"[-_.]\d{4}[.-]\d{2}([.-]\d{2})?([.-]\d{2})?$")
_LONGEST_INDEX = 255


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one action: stored when `reason` is empty, else the item error of that type."""

    operation: str
    index: str
    id: str
    error: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AcceptedBulk(Accepted):
    """`Accepted` with an `Outcome` for each action."""

    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class _Action:
    operation: str
    index: str
    id: str


def bulk(
    body: bytes, now_ns: int, new_id: Callable[[], str], *, index: str = "", within: Bounds | None = None
) -> AcceptedBulk:
    """The documents of a bulk request. `index` is that of the path, for actions that name none.

    Raises BadInput when the request as a whole is malformed; a document that is not right is the fault of its item.
    """
    lines, outcomes, targets = LogLines(now_ns, within), list[Outcome](), dict[str, _Target]()
    for action, source in _actions(body, index):
        target = targets.get(action.index) or targets.setdefault(action.index, _Target(action.index))
        identity = action.id or new_id()
        try:
            if action.operation not in _ADDING:
                raise BadInput(
                    f"log records are only added: [{action.operation}] is not possible, send [create] or [index]"
                )
            lines.add(*fields.record_of(_document(source), service=target.service, extra=target.known(action.id)))
        except BadInput as fault:
            kind = "document_parsing_exception" if action.operation in _ADDING else "illegal_argument_exception"
            outcomes.append(Outcome(action.operation, action.index, identity, kind, str(fault)))
        else:
            outcomes.append(Outcome(action.operation, action.index, identity))
    rejected = len(outcomes) - lines.count
    reason = next((each.reason for each in outcomes if each.reason), "")
    accepted = lines.accepted(rejected, reason)
    return AcceptedBulk(
        accepted.body,
        accepted.items,
        rejected,
        reason,
        tuple(outcomes),
        causes=accepted.causes,
        is_bounded=accepted.is_bounded,
    )


def one(body: bytes, now_ns: int, index: str, identity: str, within: Bounds | None = None) -> Accepted:
    """The document of a request that stores just one; BadInput when it is none."""
    lines, target = LogLines(now_ns, within), _Target(index)
    lines.add(*fields.record_of(_document(body), service=target.service, extra=target.known(identity)))
    return lines.accepted()


class _Target:
    """What the name of an index says about its documents."""

    def __init__(self, index: str) -> None:
        stream = _DATA_STREAM.fullmatch(index)
        self.service = stream[2] if stream else _DATE.sub("", index)
        self._known: dict[str, Value] = {"elasticsearch.index": index}
        if stream:
            self._known = {
                f"data_stream.{part}": stream[at] for at, part in enumerate(("type", "dataset", "namespace"), 1)
            }

    def known(self, identity: str) -> dict[str, Value]:
        return {**self._known, "elasticsearch.id": identity} if identity else self._known


def _actions(body: bytes, index: str) -> Iterator[tuple[_Action, bytes]]:
    if not body.strip():
        raise BadInput("request body is required")
    if not body.endswith(b"\n"):
        raise BadInput("The bulk request must be terminated by a newline [\\n]: the last line may be cut short")
    # Senders repeat one action line before every document, so each distinct one is read once.
    known: dict[bytes, _Action] = {}
    lines = body.split(b"\n")
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        if not line.strip():
            continue
        action = known.get(line)
        if action is None:
            action = _action(line, number, index)
            if not action.id:
                known[line] = action
        if action.operation == "delete":
            yield action, b""
            continue
        _, source = next(numbered)
        if number == len(lines) - 1:
            raise BadInput(f"the action [{action.operation}] in line [{number}] has no document after it")
        yield action, source


def _action(line: bytes, number: int, index: str) -> _Action:
    where = f"Malformed action/metadata line [{number}]"
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{where}, not JSON: {error}") from None
    if not isinstance(document, dict) or len(document) != 1:
        raise BadInput(f"{where}, expected an object with one of [create], [delete], [index] or [update]")
    [(operation, named)] = document.items()
    if operation not in _OPERATIONS:
        raise BadInput(f"{where}, expected field [create], [delete], [index] or [update] but found [{operation[:40]}]")
    if not isinstance(named, dict):
        raise BadInput(f"{where}, expected an object after [{operation}]")
    target, identity = named.get("_index") or index, named.get("_id")
    if not isinstance(target, str) or not target:
        raise BadInput(f"Validation Failed: 1: index is missing in line [{number}];")
    if len(target) > _LONGEST_INDEX:
        raise BadInput(f"{where}: an index name has at most {_LONGEST_INDEX} characters")
    return _Action(operation, target, "" if identity is None else str(identity)[:512])


def _document(source: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(source)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"failed to parse: {error}") from None
    if not isinstance(document, dict):
        raise BadInput(f"failed to parse: a document is an object, not {type(document).__name__}")
    stamp = document.get("@timestamp")
    if stamp is not None and nanoseconds(stamp) is None:
        raise BadInput(
            f"failed to parse field [@timestamp] of type [date]: {str(stamp)[:60]!r} is no time of 1973 to 2262"
        )
    return document
