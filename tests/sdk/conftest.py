"""Every test of the SDK talks to a platform of its own and leaves the process as it found it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

import aiprism
from aiprism.sdk.control import controls
from aiprism.sdk.instrument import Instrumentation
from tests.sdk.receiver import Platform


@pytest.fixture
def platform() -> Iterator[Platform]:
    running = Platform()
    yield running
    running.close()


@pytest.fixture
def instrumented(platform: Platform) -> Iterator[Callable[..., Instrumentation]]:
    """`instrument` against the platform of this test, undone at its end."""
    running: list[Instrumentation] = []

    def start(**arguments) -> Instrumentation:
        defaults = {
            "service": "document-processor",
            "version": "2.1.0",
            "environment": "demo",
            "endpoint": platform.url,
        }
        running.append(aiprism.instrument(**{**defaults, **arguments}))
        return running[-1]

    yield start
    for instrumentation in running:
        instrumentation.shutdown(2.0)
    controls.undo_all()
    controls._controls.clear()
    logging.getLogger().setLevel(logging.WARNING)
