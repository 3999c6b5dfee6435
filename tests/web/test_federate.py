"""GET /federate says, line by line, what Debian's Prometheus says of the same samples."""

from __future__ import annotations

import math
import struct
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI

from aiprism.clock import FakeClock
from aiprism.model.histograms import STALE_HISTOGRAM, Buckets, NativeHistogram
from aiprism.model.labels import Labels
from aiprism.query.promql import Limits
from aiprism.store.engine import Engine
from aiprism.web import federate
from aiprism.web.turns import Turns
from tests.query.promql import peer
from tests.query.promql.stocked import Points, Stocked
from tests.web.test_prometheus import Client

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
HISTOGRAM = NativeHistogram(0, 1.0, 1.0, positive=Buckets((0,), (1,), (1.0,)))
NUMBERS = (0.0, -0.0, 1.0, 0.1, 123456.0, 1234567.0, -1.5e300, 1.25e-5, 0.0001, math.inf, -math.inf, math.nan)


def _series(now_ms: int) -> list[tuple[Labels, Points]]:
    def labels(name: str, **others: str) -> Labels:
        return Labels({"__name__": name, **others})

    return [
        *((labels("number", n=str(place)), [(now_ms - 9_137, value)]) for place, value in enumerate(NUMBERS)),
        (labels("up", job="api", instance="host:1", Zone="eu"), [(now_ms - 60_000, 0.0), (now_ms - 30_000, 1.0)]),
        (labels("up", job="api"), [(now_ms - 30_000, 1.0)]),
        (labels("odd", text='a "b"\\c\nd ü'), [(now_ms - 1000, 2.0)]),
        (labels("ended", job="api"), [(now_ms - 60_000, 1.0), (now_ms - 30_000, STALE)]),
        (labels("turned", way="into a histogram"), [(now_ms - 60_000, 1.0), (now_ms - 30_000, HISTOGRAM)]),
        (labels("turned", way="into a number"), [(now_ms - 60_000, HISTOGRAM), (now_ms - 30_000, 2.0)]),
        (labels("turned", way="into one that ended"), [(now_ms - 60_000, 3.0), (now_ms - 30_000, STALE_HISTOGRAM)]),
        (labels("long_ago", job="api"), [(now_ms - 301_000, 1.0)]),
    ]


@pytest.fixture
def stocked(engine: Engine) -> Stocked:
    return Stocked.on(engine, Limits(samples=10_000))


def _types(text: str) -> list[str]:
    # Within a family Prometheus keeps no order.
    return [line for line in text.splitlines() if line.startswith("#")]


def _client(stocked: Stocked, now: float) -> Client:
    application = FastAPI()
    application.include_router(federate.router(stocked.promql, Turns(stocked.engine), FakeClock(now)))
    return Client(application)


def test_prometheus_says_the_same(stocked: Stocked, tmp_path: Path) -> None:
    if not peer.installed():
        pytest.skip(peer.HINT)
    now_ms = round(time.time() * 1000)
    series = _series(now_ms)
    stocked.add(series)
    ours = _client(stocked, now_ms / 1000)
    with peer.running(tmp_path, flags=["--enable-feature=native-histograms"]) as theirs:
        theirs.write(series)
        for selectors in (
            [],
            ['{__name__=~".+"}'],
            ["up", 'up{job="api"}', "odd"],
            ["ended"],
            ["turned"],
            ["number{n='3'}", "nothing"],
        ):
            query = [("match[]", text) for text in selectors]
            with urllib.request.urlopen(f"{theirs.url}/federate?{urlencode(query)}", timeout=60) as answer:
                theirs_said, kind = answer.read().decode(), answer.headers["Content-Type"]
            said = ours.get("/federate", params={"match[]": selectors})
            assert (said.status_code, said.headers["content-type"]) == (200, kind)
            assert sorted(said.text.splitlines()) == sorted(theirs_said.splitlines())
            assert _types(said.text) == _types(theirs_said)


def test_what_is_no_selector_is_refused_in_words(stocked: Stocked) -> None:
    said = _client(stocked, 1000.0).get("/federate", params={"match[]": "up{"})
    assert (said.status_code, said.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert "parse error" in said.text


def test_a_name_of_any_text_is_given_to_those_who_can_read_it(stocked: Stocked) -> None:
    stocked.add([(Labels({"__name__": "my.metric", "a.b": "1", "instance": "i"}), [(1_000_000, 3.0)])])
    client = _client(stocked, 1000.0)
    asked = {"match[]": '{"my.metric"}'}
    assert client.get("/federate", params=asked).text.splitlines()[1] == 'my_metric{a_b="1",instance="i"} 3 1000000'
    headers = {"Accept": "text/plain;version=1.0.0;escaping=allow-utf-8"}
    answer: httpx.Response = client._ask("GET", "/federate", params=asked, headers=headers)
    assert answer.text == '# TYPE "my.metric" untyped\n{"my.metric","a.b"="1",instance="i"} 3 1000000\n'


def test_a_page_is_packed_for_a_scraper_on_another_machine(stocked: Stocked) -> None:
    stocked.add([(Labels({"__name__": "m", "i": str(place)}), [(1_000_000, 3.0)]) for place in range(50)])
    client, asked, headers = _client(stocked, 1000.0), {"match[]": "m"}, {"Accept-Encoding": "gzip"}
    near, far = (client.get("/federate", asked, headers=headers, host=host) for host in ("127.0.0.1", "192.0.2.1"))
    assert [answer.headers.get("content-encoding") for answer in (near, far)] == [None, "gzip"]
    assert (near.text, near.headers["content-type"]) == (far.text, far.headers["content-type"])
