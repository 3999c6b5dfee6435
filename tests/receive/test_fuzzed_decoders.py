"""Some hundred broken bodies for each decoder; the long form, by a fuzzer that sees what is covered, is bench/fuzz/decoders.py."""

from __future__ import annotations

import random

import pytest
from bench.fuzz import doors
from bench.fuzz.decoders import NAMES, decoders, tried


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_body_is_refused_or_its_rows_are_as_many_as_were_counted(name: str) -> None:
    decoder = decoders()[name]
    for seed in range(200):
        chance = random.Random(seed)
        body = chance.choice(decoder.good)()
        decoder.take(body)
        broken = doors.broken(body, chance)
        assert tried(decoder, broken) == "", broken


def test_every_decoder_is_named() -> None:
    assert tuple(decoders()) == NAMES
