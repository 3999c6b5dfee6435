"""Saved searches over HTTP, and where they are used: in searches of logs, in a terminal, by rules."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.detect import rules
from aiprism.detect.rules import Group
from aiprism.detect.signals import Reading
from aiprism.errors import BadInput, ConfigError, Conflict, LimitExceeded
from aiprism.model.savedsearches import SavedSearch
from aiprism.model.search import All, Is, Not
from aiprism.model.signals import Signal
from aiprism.query import lucene, saved
from aiprism.store import savedsearches
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.records import Records
from aiprism.store.savedsearches import SavedSearches
from aiprism.store.spancolumns import span_columns
from aiprism.telemetry import Telemetry
from aiprism.web import explore, logs, routes, searches
from tests.cli.conftest import Run, aiprism  # noqa: F401 - a fixture
from tests.query.test_log_search import AT, body
from tests.query.test_span_search import SPANS_SENT, sent
from tests.web.serving import serving

ERRORS = {"name": "errors", "query": "level:>=ERROR", "columns": ["user"], "seconds": 7200, "description": "what fails"}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[SavedSearches]:
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield SavedSearches(records)
    records.close()


@pytest.fixture
def loaded() -> list[Group]:
    """The groups that are evaluated."""
    return []


@pytest.fixture
def client(engine: Engine, kept: SavedSearches, loaded: list[Group]) -> Iterator[httpx.Client]:
    async def nothing() -> None:
        return None

    engine.insert_arrow("logs_received", log_columns(body()), token="t")
    clock = FakeClock(AT + 60)
    doors = [
        searches.router(kept, clock, lambda name: rules.users_of(name, loaded)),
        logs.router(engine, clock, find=kept.find),
        explore.router(engine, clock, find=kept.find),
    ]
    app = routes.build(doors, Telemetry(), checks={}, reload=nothing)
    with serving(app) as url, httpx.Client(base_url=f"{url}/aiprism/v1", timeout=60) as opened:
        yield opened


def told(answer: httpx.Response) -> Any:
    return answer.status_code, answer.json()["error"]["message"]


def test_a_search_is_saved_read_changed_and_deleted(client: httpx.Client) -> None:
    made = client.post("/searches", json=ERRORS)
    shown = {**ERRORS, "signal": "logs", "version": 1, "created_at": AT + 60, "updated_at": AT + 60, "used_by": []}
    assert (made.status_code, made.json()) == (201, shown)
    assert client.get("/searches/errors").json() == shown
    changed = client.put("/searches/errors", json={"query": "level:FATAL", "version": 1}).json()
    assert (changed["query"], changed["columns"], changed["seconds"], changed["version"]) == (
        "level:FATAL",
        [],
        None,
        2,
    )
    assert client.get("/searches").json() == {"searches": [changed]}
    assert client.delete("/searches/errors?version=2").status_code == 204
    assert client.get("/searches").json() == {"searches": []}


def test_who_changes_an_old_version_is_told_so(client: httpx.Client) -> None:
    client.post("/searches", json=ERRORS)
    client.put("/searches/errors", json={"query": "a", "version": 1})
    late = told(client.put("/searches/errors", json={"query": "b", "version": 1}))
    assert late == (409, "the search 'errors' is at version 2, not 1: somebody has changed it; read it again")
    assert client.delete("/searches/errors?version=1").status_code == 409
    assert client.get("/searches/errors").json()["query"] == "a"


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"name": "errors"}, 409, "there is a search 'errors' already; change it, or take another name"),
    ({"name": "a", "query": "(x"}, 400, "query: a ( is not closed"),
    ({"name": "a", "query": "saved:nobody"}, 400, "query: there is no saved search 'nobody'"),
    ({"name": "a", "query": "x saved:a"}, 400, "query: the saved search 'a' leads back to itself: a → a"),
    ({"name": "a b"}, 400, ""),
    ({"name": "-a"}, 400, ""),
    ({"name": "a", "query": "x" * 4097}, 400, ""),
    ({"name": "a", "columns": ["c"] * 51}, 400, ""),
    ({"name": "a", "signal": "metrics"}, 400, ""),
    ({"name": "a", "seconds": 0}, 400, ""),
]


@pytest.mark.parametrize(("given", "status", "message"), WRONG)
def test_what_is_no_search_is_not_saved(client: httpx.Client, given: dict[str, Any], status: int, message: str) -> None:
    client.post("/searches", json=ERRORS)
    answer = told(client.post("/searches", json={"query": "x", **given}))
    assert answer[0] == status
    assert answer[1].startswith(message)
    assert [each["name"] for each in client.get("/searches").json()["searches"]] == ["errors"]


def test_there_are_only_so_many(kept: SavedSearches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savedsearches, "MOST", 1)
    kept.add(SavedSearch("a", Signal.LOGS, "x"), 1.0)
    with pytest.raises(LimitExceeded, match="there are 1 saved searches"):
        kept.add(SavedSearch("b", Signal.LOGS, "x"), 1.0)


def test_of_two_who_change_one_version_at_once_one_is_told(kept: SavedSearches) -> None:
    kept.add(SavedSearch("a", Signal.LOGS, ""), 1.0)
    outcomes: list[str] = []

    def change(query: str) -> None:
        try:
            outcomes.append(kept.change(SavedSearch("a", Signal.LOGS, query, version=1), 2.0).query)
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=change, args=(str(at),)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes)[1:] == ["conflict"] * 3
    assert kept.get("a").query == min(outcomes)


# -- where they are used -----------------------------------------------------------------------------------------------


def bodies(client: httpx.Client, query: str) -> list[str]:
    return [each["body"].split()[0] for each in client.get("/logs", params={"query": query}).json()["logs"]]


def test_a_search_of_logs_may_refer_to_a_saved_one(client: httpx.Client) -> None:
    client.post("/searches", json=ERRORS)
    client.post("/searches", json={"name": "of-cart", "query": "saved:errors service:cart"})
    assert bodies(client, "saved:errors") == ["level=fatal", "connection"]
    assert bodies(client, "saved:of-cart") == ["level=fatal"]
    assert bodies(client, "service:api -saved:errors out") == ["Request"]
    facets = client.get("/logs/facets", params={"query": "saved:errors", "field": "service"}).json()
    assert facets["records"] == 2
    missing = told(client.get("/logs", params={"query": "saved:nobody"}))
    assert missing == (
        400, "query: there is no saved search 'nobody'; for a field of that name write attributes.saved:nobody",
    )  # fmt: skip


def test_a_search_of_traces_may_refer_to_one_of_traces(client: httpx.Client, engine: Engine) -> None:
    engine.insert_arrow("spans", span_columns(sent(SPANS_SENT)), token="t")
    client.post("/searches", json={"name": "slow", "signal": "traces", "query": "duration:>2s"})
    client.post("/searches", json=ERRORS)
    asked: dict[str, Any] = {"query": "saved:slow service:api", "start": AT - 60, "end": AT + 60}
    assert [each["trace_id"] for each in client.get("/traces", params=asked).json()["traces"]] == ["00" * 16]
    wrong = told(client.get("/traces", params=asked | {"query": "saved:errors"}))
    assert wrong == (400, "query: 'errors' is a search of logs, not of traces")


def test_references_are_replaced_wherever_they_stand() -> None:
    found = {"a": SavedSearch("a", Signal.LOGS, "x"), "t": SavedSearch("t", Signal.TRACES, "x")}
    asked = saved.resolved(lucene.condition("level:INFO (y OR -saved:a)"), found.get, Signal.LOGS)
    assert asked == lucene.condition("level:INFO (y OR -x)")
    assert saved.resolved(All((Not(Is("saved", "a")),)), found.get, Signal.LOGS) == All((Not(Is("", "x")),))
    with pytest.raises(BadInput, match="'t' is a search of traces, not of logs"):
        saved.resolved(lucene.condition("saved:t"), found.get, Signal.LOGS)
    many = {"a": SavedSearch("a", Signal.LOGS, " ".join("x" for _ in range(30)))}
    with pytest.raises(BadInput, match="60 terms are too many: 50"):
        saved.resolved(lucene.condition("saved:a OR saved:a"), many.get, Signal.LOGS)


def test_a_terminal_asks_a_saved_search_by_its_name(client: httpx.Client, aiprism: Run) -> None:  # noqa: F811
    client.post("/searches", json=ERRORS | {"seconds": None})
    server = str(client.base_url).removesuffix("/aiprism/v1/")
    span = ("--start", str(AT - 60), "--end", str(AT + 60), "--server", server)
    _, out, _ = aiprism("logs", "@errors service:api", *span)
    assert [line.split(maxsplit=3)[3] for line in out.splitlines()] == [
        f"connection refused by cart-db:5432  user=ada  trace={'ab' * 16}"
    ]
    status, _, err = aiprism("logs", "@nobody", *span)
    assert (status, err) == (1, "aiprism: there is no saved search 'nobody'\n")


RULES = """
groups:
- name: g
  rules:
  - {alert: Failing, search: errors, over: 5m, when: '> 1'}
  - {record: failing, logs: 'saved:errors service:api', over: 5m}
  - {record: other, logs: 'x', over: 5m}
"""


def read(find: Callable[[str], SavedSearch | None] | None) -> tuple[Group, ...]:
    return rules.read(yamlfile.parse(RULES, file="s.yml"), reading=Reading(find=find))


def test_a_rule_counts_what_a_saved_search_finds_as_it_was_when_rules_were_loaded(
    client: httpx.Client, kept: SavedSearches, loaded: list[Group]
) -> None:
    client.post("/searches", json=ERRORS)
    loaded += read(kept.find)
    [alert, failing, _] = loaded[0].rules
    assert (alert.shown, failing.shown) == (
        "count (logs{level:>=ERROR}[5m]) > 1",
        "count (logs{saved:errors service:api}[5m])",
    )
    assert client.get("/searches/errors").json()["used_by"] == ["Failing", "failing"]
    refused = told(client.delete("/searches/errors"))
    assert refused == (
        409, "rules use the search 'errors': Failing, failing; take it out of them and reload first",
    )  # fmt: skip
    client.put("/searches/errors", json={"query": "level:FATAL", "version": 1})
    assert read(kept.find) != tuple(loaded)  # so that a reload takes it up
    loaded.clear()
    assert client.delete("/searches/errors").status_code == 204


def test_a_change_that_rules_could_not_be_loaded_with_again_is_refused(
    client: httpx.Client, kept: SavedSearches, loaded: list[Group]
) -> None:
    client.post("/searches", json={"name": "part", "query": "level:ERROR"})
    client.post("/searches", json={**ERRORS, "query": f"saved:part {' '.join(f'w{at}' for at in range(40))}"})
    unused = {"query": "status:error", "signal": "traces", "version": 1}
    assert client.put("/searches/part", json=unused).status_code == 200  # of no rule
    client.put("/searches/part", json={"query": "level:ERROR", "version": 2})
    loaded += read(kept.find)
    status, message = told(client.put("/searches/part", json={**unused, "version": 3}))
    assert (status, message) == (
        409,
        "rules count the search 'part' as one of logs: Failing, failing; save the one of traces under another name",
    )
    status, message = told(client.put("/searches/part", json={"query": " ".join("abcdefghijkl"), "version": 3}))
    assert status == 409
    assert message.startswith("rules use the search 'errors', which is made of this one: Failing, failing; query: ")
    assert read(kept.find) == tuple(loaded)
    assert client.put("/searches/part", json={"query": "level:FATAL", "version": 3}).status_code == 200


def test_rules_of_a_search_that_is_not_there_are_refused_with_their_line() -> None:
    with pytest.raises(ConfigError) as refused:
        read(lambda name: None)
    assert str(refused.value) == (
        "s.yml:5: group 'g': rule 'Failing': there is no saved search 'errors'; save it first (POST /aiprism/v1/searches), "
        "or take it out (at groups[0].rules[0].search)"
    )
    assert [rule.shown for rule in read(None)[0].rules][:2] == [
        "count (logs{saved:errors}[5m]) > 1",
        "count (logs{saved:errors service:api}[5m])",
    ]
