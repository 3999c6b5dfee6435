"""Searches that refer to saved ones: `saved:checkout-errors level:ERROR` asks what the saved search asks, and more.

In: a condition, and a way to find saved searches. Out: the same with each reference replaced by what that search asks now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from aiprism.errors import BadInput
from aiprism.model.savedsearches import SavedSearch
from aiprism.model.search import All, Any, Condition, Is, Not
from aiprism.model.signals import Signal
from aiprism.query import lucene

FIELD = "saved"
Find = Callable[[str], SavedSearch | None]


_FIELDS = {Signal.LOGS: lucene.LOGS, Signal.TRACES: lucene.SPANS}


def condition(text: str, signal: Signal) -> Condition:
    """What a query asks of a signal; references to saved searches are left in it."""
    return lucene.condition(text, _FIELDS[signal])


def names_in(asked: Condition) -> Iterator[str]:
    """The names of the saved searches that a condition refers to itself."""
    match asked:
        case Is(field, name) if field == FIELD:
            yield name
        case All(parts) | Any(parts):
            for part in parts:
                yield from names_in(part)
        case Not(part):
            yield from names_in(part)


def resolved(asked: Condition, find: Find, signal: Signal, within: tuple[str, ...] = ()) -> Condition:
    """The condition with saved searches in the places that refer to them.

    BadInput when there is none of a name, when it is one of another signal, or when a search leads back to itself, and when
    all of it together has more terms than a search may have.
    """
    if not any(names_in(asked)):
        return asked
    whole = _resolved(asked, find, signal, within)
    lucene.check_terms(whole)
    return whole


def _resolved(asked: Condition, find: Find, signal: Signal, within: tuple[str, ...]) -> Condition:
    match asked:
        case Is(field, name) if field == FIELD:
            return _meant(name, find, signal, within)
        case All(parts) | Any(parts):
            return replace(asked, parts=tuple(_resolved(part, find, signal, within) for part in parts))
        case Not(part):
            return Not(_resolved(part, find, signal, within))
    return asked


def _meant(name: str, find: Find, signal: Signal, within: tuple[str, ...]) -> Condition:
    if name in within:
        raise BadInput(f"query: the saved search {name!r} leads back to itself: {' → '.join((*within, name))}")
    search = find(name)
    if search is None:
        raise BadInput(
            f"query: there is no saved search {name!r}; for a field of that name write attributes.{FIELD}:{name}"
        )
    if search.signal is not signal:
        raise BadInput(f"query: {name!r} is a search of {search.signal.value}, not of {signal.value}")
    return _resolved(condition(search.query, signal), find, signal, (*within, name))
