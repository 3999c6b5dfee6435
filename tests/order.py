"""Which tests run in one process of the suite, and in which order they are begun.

Half of the suite computes, half of it waits: for servers, a lab, a browser. Processes that all wait leave processors idle, so
files that wait are spread among those that compute; what takes minutes is begun first, so that nobody waits for it in the end.
"""

from __future__ import annotations

from collections.abc import Iterable

_WAITS = ("tests/ui", "tests/journeys/", "tests/lab/", "tests/sdk/")
_LONGEST = ("tests/ui/test_model_slow.py", "tests/ui")
_SPREAD = 0.85  # of the files that compute stand beside some that wait


def scope(nodeid: str) -> str:
    """What runs in one process, one test after the other: a file, whose tests share servers, and all tests of pages, which share
    one with an hour of data.

    >>> scope("tests/lab/test_review.py::test_it[a::b]")
    'tests/lab/test_review.py'
    >>> scope("tests/ui/test_pages.py::test_it"), scope("tests/ui/test_model_slow.py::test_it")
    ('tests/ui', 'tests/ui/test_model_slow.py')
    """
    file = nodeid.split("::", 1)[0]
    shares = file.startswith("tests/ui/") and file not in _LONGEST
    return "tests/ui" if shares else file


def places(scopes: Iterable[str]) -> dict[str, float]:
    """Where in the suite each scope stands, between 0 and 1; of those of a kind the order stays."""
    known = dict.fromkeys(scopes)
    waits = [each for each in _LONGEST if each in known]
    waits += [each for each in known if each.startswith(_WAITS) and each not in _LONGEST]
    computes = [each for each in known if not each.startswith(_WAITS)]
    spread = _SPREAD if computes else 1.0
    return {
        **{each: number / len(waits) * spread for number, each in enumerate(waits)},
        **{each: (number + 0.5) / len(computes) for number, each in enumerate(computes)},
    }
