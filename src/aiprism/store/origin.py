"""Who sent an item: resource, scope and schema URLs, told once for every scope of a request and coded as dictionaries.

In: where those messages lie in a body. Out: columns that hold a small number per row and each resource's text once. The
same resource comes with every request, so what its bytes mean is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from aiprism.errors import StoreError
from aiprism.store.anyvalue import json_text, letter, text_value
from aiprism.store.wire import field, kernel


def new_groups(size: int) -> npt.NDArray[np.int32]:
    """Room for every scope that a body of `size` bytes can hold: where its resource, that one's schema URL, the scope and
    its schema URL begin and end."""
    return np.empty((size // 2 + 1, 8), np.int32)


def origin_columns(body: bytes, groups: npt.NDArray[np.int32], of_row: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    """The columns service, resource_*, scope_* of rows whose group is `of_row`."""
    at = groups[: int(of_row[-1]) + 1 if len(of_row) else 0].tolist()
    resources = [_resource(body[place[0] : place[1]]) for place in at]
    scopes = [_scope(body[place[4] : place[5]]) for place in at]
    texts: dict[str, list[str]] = {
        "service": [each.service for each in resources],
        "resource_json": [each.attributes for each in resources],
        "resource_kinds": [each.kinds for each in resources],
        "resource_entities": [each.entities for each in resources],
        "resource_schema_url": [body[place[2] : place[3]].decode("utf-8", "replace") for place in at],
        "scope_name": [each.name for each in scopes],
        "scope_version": [each.version for each in scopes],
        "scope_json": [each.attributes for each in scopes],
        "scope_kinds": [each.kinds for each in scopes],
        "scope_schema_url": [body[place[6] : place[7]].decode("utf-8", "replace") for place in at],
    }
    columns = {name: _per_row(values, of_row) for name, values in texts.items()}
    for name, counts in (
        ("resource_dropped", [each.dropped for each in resources]),
        ("scope_dropped", [each.dropped for each in scopes]),
    ):
        columns[name] = pa.array(np.array(counts, np.uint32)[of_row])
    return columns


def _per_row(values: list[str], of_row: npt.NDArray[np.int64]) -> pa.Array:
    coded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(pa.array(coded.indices.to_numpy()[of_row], pa.int32()), coded.dictionary)


# -- what resource and scope say -------------------------------------------------------------------------------------


class _Resource(NamedTuple):
    service: str
    attributes: str
    kinds: str
    entities: str
    dropped: int


class _Scope(NamedTuple):
    name: str
    version: str
    attributes: str
    kinds: str
    dropped: int


@lru_cache(maxsize=10_000)
def _resource(message: bytes) -> _Resource:
    try:
        resource = Resource.FromString(message)
    except DecodeError as error:
        raise StoreError(f"a resource cannot be read: {error}", code=33) from None
    texts, kinds = _told(resource.attributes)
    entities = [MessageToDict(each) for each in resource.entity_refs]
    return _Resource(
        dict(texts).get("service.name", ""), _object(texts), kinds, json_text(entities) if entities else "",
        resource.dropped_attributes_count,
    )  # fmt: skip


@lru_cache(maxsize=10_000)
def _scope(message: bytes) -> _Scope:
    try:
        scope = InstrumentationScope.FromString(message)
    except DecodeError as error:
        raise StoreError(f"a scope cannot be read: {error}", code=33) from None
    texts, kinds = _told(scope.attributes)
    return _Scope(scope.name, scope.version, _object(texts), kinds, scope.dropped_attributes_count)


def _told(pairs: Iterable[KeyValue]) -> tuple[list[tuple[str, str]], str]:
    found = list(pairs)
    return [(pair.key, text_value(pair.value)) for pair in found], "".join(letter(pair.value) for pair in found)


def _object(texts: list[tuple[str, str]]) -> str:
    # By hand, so that a key given twice is kept twice.
    return "{" + ",".join(f"{json_text(key)}:{json_text(text)}" for key, text in texts) + "}" if texts else ""


# -- compiled --------------------------------------------------------------------------------------------------------


@kernel
def open_group(buf, resource_at, resource_end, scope_at, scope_end, groups, number):
    """Note the group whose ResourceSpans (or ResourceLogs) and ScopeSpans lie there; False when damaged.

    Fields may come in any order, so they are looked for before the items are read.
    """
    groups[number] = 0
    for half in range(2):
        at, end = (resource_at, resource_end) if half == 0 else (scope_at, scope_end)
        while at < end:
            tag, _, start, at = field(buf, at, end)
            if at < 0:
                return False
            if tag == 10:
                groups[number, 4 * half], groups[number, 4 * half + 1] = start, at
            elif tag == 26:
                groups[number, 4 * half + 2], groups[number, 4 * half + 3] = start, at
    return True
