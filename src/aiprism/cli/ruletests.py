"""`aiprism test rules FILE…`: unit tests of rules, in the format and with the exit status of `promtool test rules`.

In: test files. Out: SUCCESS or FAILED for each, with what was expected and what there was. Rules run on a store of their
own in a temporary directory, which this process has to itself.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from pathlib import Path

import structlog

from aiprism.detect.ruletests import Failure, failures, read
from aiprism.errors import AiprismError, ConfigError
from aiprism.query.promql import PromQL
from aiprism.store.scratch import Scratch, scratch


def run(wanted: argparse.Namespace) -> int:
    """Run every file; each is reported, also after one that failed."""
    chosen = _pattern(wanted.run_pattern)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with scratch() as store:
        outcomes = [_file(path, chosen, store) for path in wanted.files]
    return 0 if all(outcomes) else 1


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"--run {text!r}: {error}") from None


def _file(path: Path, chosen: re.Pattern[str], store: Scratch) -> bool:
    print(f"Unit Testing:  {path}")
    try:
        tests = read(path)
        cases = [case for case in tests.cases if chosen.search(case.name)]
        found = [each for case in cases for each in failures(tests, case, store, lambda: PromQL(store.samples))]
    except AiprismError as error:
        print(f"  FAILED:\n    {error}\n", file=sys.stderr)
        return False
    if found:
        print("  FAILED:")
        for each in found:
            print(_told(each, path))
        print()
        return False
    print(f"  SUCCESS ({len(cases)} test{'' if len(cases) == 1 else 's'})\n")
    return True


def _told(failure: Failure, path: Path) -> str:
    name = f"{failure.case}: " if failure.case else ""
    lines = [f"    {path}:{failure.line}: {name}{failure.what}"]
    if failure.expected or failure.got:
        lines += ["        exp:", *(f"            {each}" for each in failure.expected or ("nothing",))]
        lines += ["        got:", *(f"            {each}" for each in failure.got or ("nothing",))]
    return "\n".join(lines)
