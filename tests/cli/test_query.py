"""`aiprism query`."""

from __future__ import annotations

from typing import Any

from tests.cli.conftest import NOW, Run
from tests.cli.pretended import pretended


def vector(*items: tuple[dict[str, str], str]) -> dict[str, Any]:
    result = [{"metric": labels, "value": [NOW, value]} for labels, value in items]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_an_instant_query_is_a_table_of_series_and_values(aiprism: Run) -> None:
    answer = vector(({"__name__": "up", "job": "api"}, "1"), ({"job": 'a "b"'}, "12345.678"))
    with pretended({"/api/v1/query": answer}) as server:
        status, out, _ = aiprism("query", "up", "--server", server.url)
    assert (status, out.splitlines()) == (
        0,
        [
            "series             value",
            "────────────────────────",
            'up{job="api"}          1',
            '{job="a \\"b\\""}   12,346',
        ],
    )


def test_the_question_goes_out_with_its_time(aiprism: Run) -> None:
    with pretended({"/api/v1/query": vector()}) as server:
        aiprism("query", "up", "--at", "5m", "--server", server.url)
    assert server.asked == [("GET", "/api/v1/query", {"query": ["up"], "time": [f"{NOW - 300:.3f}"]}, None)]


def test_a_range_has_sixty_steps_unless_told_otherwise(aiprism: Run) -> None:
    answer = {"status": "success", "data": {"resultType": "matrix", "result": []}}
    with pretended({"/api/v1/query_range": answer}) as server:
        aiprism("query", "up", "--start", "1h", "--server", server.url)
        aiprism("query", "up", "--start", "2h", "--end", "1h", "--step", "5m", "--server", server.url)
    first, second = (parameters for _, _, parameters, _ in server.asked)
    assert first == {"query": ["up"], "start": [f"{NOW - 3600:.3f}"], "end": [f"{NOW:.3f}"], "step": ["60"]}
    assert second == {"query": ["up"], "start": [f"{NOW - 7200:.3f}"], "end": [f"{NOW - 3600:.3f}"], "step": ["300"]}


def test_a_range_shows_the_course_of_each_series(aiprism: Run) -> None:
    values = [[NOW, "0"], [NOW + 60, "5"], [NOW + 120, "10"]]
    data = {"resultType": "matrix", "result": [{"metric": {"job": "api"}, "values": values}]}
    with pretended({"/api/v1/query_range": {"status": "success", "data": data}}) as server:
        _, out, _ = aiprism("query", "up", "--start", "1h", "--server", server.url)
    assert out.splitlines() == [
        "series        course   least   mean   most   last",
        "─────────────────────────────────────────────────",
        '{job="api"}   ▁▅█          0      5     10     10',
    ]


def test_native_histograms_are_told_by_what_they_hold(aiprism: Run) -> None:
    told = {"count": "12", "sum": "4.5", "buckets": [[0, "1", "2", "12"]]}
    data = {"resultType": "vector", "result": [{"metric": {"job": "api"}, "histogram": [NOW, told]}]}
    with pretended({"/api/v1/query": {"status": "success", "data": data}}) as server:
        _, out, _ = aiprism("query", "h", "--server", server.url)
    assert out.splitlines()[2].split("   ") == ['{job="api"}', "histogram of 12, sum 4.5"]
    data = {
        "resultType": "matrix",
        "result": [{"metric": {"job": "api"}, "histograms": [[NOW, told], [NOW + 1, told]]}],
    }
    with pretended({"/api/v1/query_range": {"status": "success", "data": data}}) as server:
        _, out, _ = aiprism("query", "h", "--start", "1h", "--server", server.url)
    assert out.splitlines()[2].split() == ['{job="api"}', "2", "histograms"]


def test_a_scalar_is_a_number_and_an_empty_answer_says_so(aiprism: Run) -> None:
    scalar = {"status": "success", "data": {"resultType": "scalar", "result": [NOW, "42"]}}
    with pretended({"/api/v1/query": scalar}) as server:
        assert aiprism("query", "42", "--server", server.url)[1] == "42\n"
    with pretended({"/api/v1/query": vector()}) as server:
        assert aiprism("query", "up", "--server", server.url)[1] == "nothing matches at that time\n"


def test_json_is_what_the_server_said(aiprism: Run) -> None:
    answer = vector(({"job": "ä"}, "1"))
    with pretended({"/api/v1/query": answer}) as server:
        _, out, _ = aiprism("query", "up", "-o", "json", "--server", server.url)
    assert '"job": "ä"' in out


def test_a_query_that_is_wrong_gets_the_servers_sentence(aiprism: Run) -> None:
    def refuse(*_: object) -> tuple[int, Any]:
        return 400, {"status": "error", "errorType": "bad_data", "error": "1:5: unknown function 'rat'"}

    with pretended({"/api/v1/query": refuse}) as server:
        status, out, err = aiprism("query", "rat(x)", "--server", server.url)
    assert (status, out, err) == (1, "", "aiprism: 1:5: unknown function 'rat'\n")


def test_arguments_that_contradict_each_other_are_refused_before_asking(aiprism: Run) -> None:
    for arguments, complaint in (
        (("--step", "1m"), "--end and --step belong to a range: add --start"),
        (("--start", "1h", "--at", "now"), "--at asks at one time, --start over a range: give one of them"),
        (("--start", "now"), "the range is empty: --start now is not before --end now"),
        (
            ("--at", "yesterday"),
            "not a time: 'yesterday'; write Unix seconds, 2026-11-23T14:00:00Z, or 15m for fifteen minutes ago",
        ),
        (("--start", "1h", "--step", "0"), "--step must be longer than nothing"),
    ):
        status, _, err = aiprism("query", "up", *arguments, "--server", "http://127.0.0.1:1")
        assert (status, err) == (1, f"aiprism: {complaint}\n")


def test_how_a_query_is_answered_is_shown_as_the_server_tells_it(aiprism: Run) -> None:
    with pretended({"/aiprism/v1/explain": {"text": "Leaf function=latest\n  SQL SELECT 1", "plan": {}}}) as server:
        status, out, _ = aiprism("query", "up", "--explain", "--server", server.url)
        aiprism("query", "up", "--plan", "--start", "1h", "--server", server.url)
    assert (status, out) == (0, "Leaf function=latest\n  SQL SELECT 1\n")
    first, second = (parameters for _, _, parameters, _ in server.asked)
    assert first == {"query": ["up"], "analyze": ["true"], "time": [f"{NOW:.3f}"]}
    assert second == {
        "query": ["up"],
        "analyze": ["false"],
        "step": ["60"],
        "start": [f"{NOW - 3600:.3f}"],
        "end": [f"{NOW:.3f}"],
    }
