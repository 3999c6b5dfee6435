"""Finding targets: what is told when, and what stays while nobody can be asked."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from aiprism.clock import Clock, FakeClock
from aiprism.errors import BadInput
from aiprism.receive.discovery.following import Discovery, Group, Tell
from aiprism.telemetry import Telemetry
from tests.receive.following import Following, providers
from tests.webserver import Answer, serving


def test_what_is_listed_is_told_once():
    async def run() -> list[dict[str, list[str]]]:
        text = "static_configs: [{targets: ['a:1', 'b:1'], labels: {zone: x}}, {targets: ['c:1']}]"
        async with Following(*providers(text)) as job:
            await job.clock.advance(1000)
            assert job.groups[0].targets[0] == {"__address__": "a:1", "zone": "x"}
            return job.told

    assert asyncio.run(run())[-1] == {"0": ["a:1", "b:1"], "1": ["c:1"]}


def test_files_are_read_again_when_they_change_and_a_broken_one_keeps_its_targets(tmp_path: Path):
    one, two = tmp_path / "t" / "one.json", tmp_path / "t" / "two.yml"
    one.parent.mkdir()
    one.write_text(json.dumps([{"targets": ["a:1"], "labels": {"x": "y"}}, {"targets": ["b:1"]}]))

    async def run() -> None:
        found = providers("file_sd_configs: [{files: [t/*.json, t/*.yml]}]", str(tmp_path / "p.yml"))
        async with Following(*found) as job:
            await job.until(lambda: job.told == [{f"{one}:0": ["a:1"], f"{one}:1": ["b:1"]}])
            assert job.groups[0].targets == ({"__address__": "a:1", "x": "y", "__meta_filepath": str(one)},)
            two.write_text("- targets: ['c:1']\n  labels: {n: 08}\n")
            await job.until(lambda: len(job.groups) == 3, passing=1)
            assert job.groups[-1].targets == ({"__address__": "c:1", "n": "08", "__meta_filepath": str(two)},)
            one.write_text("[{")
            await job.until(lambda: job.failures("file") >= 2, passing=1)
            assert set(job.told[-1]) == {f"{one}:0", f"{one}:1", f"{two}:0"}
            one.write_text(json.dumps([{"targets": ["d:1"]}]))
            two.unlink()
            await job.until(lambda: job.told[-1] == {f"{one}:0": ["d:1"]}, passing=1)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(status=500), "server returned HTTP status 500"),
        (Answer("[]", headers={"Content-Type": "text/html"}), "unsupported content type 'text/html'"),
        (Answer("[", headers={"Content-Type": "application/json"}), "the answer is no JSON"),
        (Answer([{"target": []}]), "group 0: unknown key 'target'"),
        (Answer([{"targets": [1]}]), "group 0: targets is a list of texts"),
        (Answer({}), "expected a list of target groups"),
    ],
)
def test_a_url_that_gives_no_targets_is_told_why(answer: Answer, why: str):
    async def run() -> str:
        async with serving(lambda asked: answer) as server:
            (found,) = providers(f"http_sd_configs: [{{url: '{server.url}/x'}}]")
            with pytest.raises(BadInput) as told:
                await found.follow(Tell(lambda: None), FakeClock())
            return str(told.value)

    assert why in asyncio.run(run())


def test_a_url_is_asked_again_and_keeps_its_targets_while_it_fails():
    answers = [Answer([{"targets": ["a:1"], "labels": {"x": "y"}}]), Answer(status=503), Answer([])]

    async def run() -> None:
        async with serving(lambda asked: answers.pop(0)) as server:
            found = providers(f"http_sd_configs: [{{url: '{server.url}/x', refresh_interval: 30s, bearer_token: t}}]")
            async with Following(*found) as job:
                await job.until(lambda: len(job.told) == 1)
                assert job.groups[0].targets == ({"__address__": "a:1", "x": "y", "__meta_url": f"{server.url}/x"},)
                await job.clock.advance(30)
                await job.until(lambda: job.failures("http") == 1)
                assert len(job.told) == 1
                await job.clock.advance(30)
                await job.until(lambda: job.told[-1] == {})
            first = server.asked[0]
            assert (first.headers["authorization"], first.headers["x-prometheus-refresh-interval-seconds"]) == (
                "Bearer t",
                "30",
            )

    asyncio.run(run())


def test_what_one_stumbles_over_does_not_keep_the_others():
    class Stumbling:
        kind, patience = "stumbling", 10.0

        async def follow(self, tell: Tell, clock: Clock) -> None:
            tell.some(Group("kept", ({"__address__": "k:1"},)))
            raise RuntimeError("stumbled")

    async def run() -> None:
        async with Following(Stumbling(), *providers("static_configs: [{targets: ['a:1']}]")) as job:
            assert job.told[-1] == {"kept": ["k:1"], "0": ["a:1"]}
            await job.clock.advance(25)
            assert job.failures("stumbling") == 3
            assert job.told[-1] == {"kept": ["k:1"], "0": ["a:1"]}

    asyncio.run(run())


def test_a_file_whose_times_say_nothing_is_read_again_at_the_refresh_interval(tmp_path: Path):
    file = tmp_path / "t.json"

    def write(address: str) -> None:
        # In place and of the same length, with the same time.
        with file.open("r+" if file.exists() else "w") as opened:
            opened.write(json.dumps([{"targets": [address]}]))
        os.utime(file, ns=(1, 1))

    async def run() -> None:
        write("a:1")
        found = providers("file_sd_configs: [{files: [t.json], refresh_interval: 60s}]", str(tmp_path / "p.yml"))
        async with Following(*found) as job:
            await job.until(lambda: job.told == [{f"{file}:0": ["a:1"]}])
            write("b:1")
            await job.until(lambda: job.told[-1] == {f"{file}:0": ["b:1"]}, passing=1)
            assert job.clock.monotonic() - job.began >= 60

    asyncio.run(run())


def test_jobs_that_ask_the_same_share_the_answer_and_the_last_to_leave_ends_it():
    async def run() -> None:
        async with serving(lambda asked: Answer([{"targets": ["a:1"]}])) as server:
            text = f"http_sd_configs: [{{url: '{server.url}/x', refresh_interval: 30s}}]"
            clock, told = FakeClock(), dict[str, list[str]]()
            discovery = Discovery(clock, Telemetry())

            def started(job: str) -> asyncio.Task[None]:
                def changed(groups: tuple[Group, ...]) -> None:
                    told[job] = [target["__address__"] for group in groups for target in group.targets]

                return asyncio.create_task(discovery.follow(job, providers(text), changed))

            async def asked(count: int) -> None:
                async with asyncio.timeout(60):
                    while len(server.asked) < count or len(told) < 2:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

            one, two = started("one"), started("two")
            await asked(1)
            three = started("three")
            await asyncio.sleep(0)
            await clock.advance(0)
            assert (told, len(server.asked)) == ({"one": ["a:1"], "two": ["a:1"], "three": ["a:1"]}, 1)
            for leaving in (one, two):
                leaving.cancel()
            await asyncio.gather(one, two, return_exceptions=True)
            await clock.advance(30)
            await asked(2)
            three.cancel()
            await asyncio.gather(three, return_exceptions=True)
            await clock.advance(300)
            assert len(server.asked) == 2

    asyncio.run(run())
