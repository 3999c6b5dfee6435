"""Settings from the environment, and how services find each other."""

import asyncio
import random
import socket

import pytest

from aiprism_lab import load, pipeline
from aiprism_lab.documents import DocumentFormat, parse
from aiprism_lab.sections import outline
from aiprism_lab.wiring import (
    LAB_MODELS,
    LabSettingsError,
    Peers,
    PeerUnavailableError,
    Price,
    ReleaseBug,
    Settings,
    Topology,
    write_topology,
)
from tests.lab.provider import provider


def settings(**environ) -> Settings:
    return Settings.from_environment("load", {"LAB_DATA": "/data"} | environ)


def test_every_setting_but_the_data_directory_has_a_default():
    plain = settings()
    assert plain.database_url == "sqlite:////data/lab.db"
    assert (plain.bug, plain.models, plain.redis_url) == (None, LAB_MODELS, "")
    with pytest.raises(LabSettingsError, match="LAB_DATA"):
        Settings.from_environment("load", {})


def test_a_provider_and_its_prices_come_from_the_environment():
    given = settings(LAB_OPENAI_BASE_URL="https://api.example/v1", LAB_OPENAI_MODELS="large=2.5/10, small=0.15/0.6")
    assert given.models == {"large": Price(2.5, 10.0), "small": Price(0.15, 0.6)}
    assert given.model_url == "https://api.example/v1"


@pytest.mark.parametrize(
    ("name", "value"),
    [("LAB_BUG", "30%"), ("LAB_BUG", "{}"), ("LAB_OPENAI_MODELS", "large"), ("LAB_OPENAI_MODELS", "large=1/2/3")],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(LabSettingsError, match=name):
        settings(**{name: value})


def test_a_bug_hits_its_share_of_the_requests_and_always_the_same_ones():
    def hit(bug, number) -> bool:
        try:
            bug.check(f"request-{number}", {})
        except KeyError:
            return True
        return False

    hits = [hit(ReleaseBug(0.3), number) for number in range(2000)]
    assert 500 < sum(hits) < 700
    assert hits == [hit(ReleaseBug(0.3), number) for number in range(2000)]
    assert not any(hit(ReleaseBug(0.0), number) for number in range(200))


def test_the_bug_spares_a_client_that_sends_the_header():
    ReleaseBug(1.0).check("request", {"x-client-build": "2026.1"})


def test_a_changed_topology_is_followed(tmp_path):
    path = tmp_path / "topology.json"
    topology = Topology(path)
    assert (topology.ports("a"), topology.ready) == ([], False)
    write_topology(path, {"a": [{"instance": "a-1", "port": 1}]}, ready=False)
    assert (topology.ports("a"), topology.ready) == ([1], False)
    write_topology(path, {"a": [{"instance": "a-1", "port": 1}, {"instance": "a-2", "port": 2}]}, ready=True)
    assert (topology.ports("a"), topology.ready) == ([1, 2], True)


def call(path, times) -> list[int]:
    async def go() -> list[int]:
        peers = Peers(Topology(path))
        try:
            return [(await peers.request("a", "POST", "/x", json={})).status_code for _ in range(times)]
        finally:
            await peers.aclose()

    return asyncio.run(go())


def test_replicas_take_turns_and_one_that_refuses_is_passed_over(tmp_path):
    path = tmp_path / "topology.json"
    with provider("{}") as first, provider("{}") as second, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        ports = [int(each.url.rsplit(":", 1)[1]) for each in (first, second)] + [bound.getsockname()[1]]
        write_topology(path, {"a": [{"instance": "a", "port": port} for port in ports]}, ready=True)
        assert call(path, 6) == [200] * 6
        assert len(first.requests) + len(second.requests) == 6
        assert min(len(first.requests), len(second.requests)) >= 2


def test_a_service_without_replicas_is_unavailable(tmp_path):
    write_topology(tmp_path / "topology.json", {"a": []}, ready=True)
    with pytest.raises(PeerUnavailableError, match="no replica of a"):
        call(tmp_path / "topology.json", 1)


def test_users_are_happier_with_better_and_faster_results():
    assert load.satisfaction(0.9, 1.0, 0.0) > load.satisfaction(0.9, 8.0, 0.0) > load.satisfaction(0.45, 8.0, 0.0)
    assert 0.0 <= load.satisfaction(0.0, 1000.0, -0.5) <= load.satisfaction(1.0, 0.0, 0.5) <= 1.0


def test_the_corpus_is_made_once_and_the_same_for_a_seed():
    first, second = (load.Corpus(3) for _ in range(2))
    picks = [first.pick(random.Random(number)) for number in range(6)]
    assert [second.pick(random.Random(number))[0] for number in range(6)] == [name for name, _ in picks]
    assert first.pick(random.Random(0))[1] is picks[0][1]


def analysis(found, degraded=False, missing=()) -> pipeline.Analysis:
    remark = {"section": "A", "category": "c", "severity": "low", "message": "m", "suggestion": "s", "quote": ""}
    sections = [{"name": each.name, "degraded": degraded, "feedback": [remark]} for each in found.sections]
    return pipeline.Analysis(sections, list(missing), 100, 0.01, degraded)


def test_quality_falls_when_the_analysis_is_degraded_or_a_section_is_lost():
    text = "# T\n\n## Scope\n\n" + "All is well here. " * 20 + "\n\n## Risks\n\n" + "It may rain. " * 20
    document = parse(text.encode(), DocumentFormat.MARKDOWN)
    found = outline(document)
    whole = pipeline.quality_score(found, document, analysis(found))
    assert pipeline.PASSING_QUALITY <= whole <= 1.0
    assert pipeline.quality_score(found, document, analysis(found, degraded=True)) == pytest.approx(whole / 2, abs=0.01)
    lost = analysis(found)
    lost.sections.pop()
    assert pipeline.quality_score(found, document, lost) < pipeline.PASSING_QUALITY


def test_a_remark_that_several_sections_share_is_told_once_and_grave_ones_first():
    document = parse(b"# T\n\n## Scope\n\nText.\n\n## Risks\n\nText.", DocumentFormat.MARKDOWN)
    found = outline(document)
    grave = {"section": "B", "category": "c", "severity": "high", "message": "lacks", "suggestion": "add", "quote": ""}
    told = pipeline.compiled_feedback(analysis(found, missing=[grave]))
    assert [item["message"] for item in told] == ["lacks", "m"]
