"""Sigma rules as conditions, and what on the real store they find."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprism.cli.check import checked
from aiprism.errors import ConfigError
from aiprism.model.search import All, Any, Between, Condition, Exists, Is, Like, Matches, Not, Wild
from aiprism.model.timerange import TimeRange
from aiprism.query.sigma import load, read
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.rulehits import hits
from tests.query.test_log_search import AT, RECORDS, body

MANY = Wild.MANY


def rule(detection: str, title: str = "A rule") -> str:
    return f"title: {title}\nlogsource: {{category: application}}\nlevel: high\ndetection:\n{detection}"


def anywhere(text: str) -> Like:
    return Like("", (MANY, text, MANY))


ASKED: list[tuple[str, Condition, str]] = [
    ("  k: [refused, patience]\n  condition: k\n", Any((anywhere("refused"), anywhere("patience"))), "01"),
    ("  k: [refused, Patience, 'db:54', no-such]\n  condition: k\n",
     Matches("", r"(?i)refused|Patience|db:54|no\-such"), "01"),
    ("  k:\n    - refused\n    - patience\n    - disk\n    - cart*order\n  condition: k\n",
     Any((Matches("", "(?i)refused|patience|disk"), Matches("", r"(?is)^.*cart.*order.*$"))), "0124"),
    ("  k: ['db:54']\n  condition: k\n", anywhere("db:54"), "1"),
    ("  k: [ATIENC]\n  condition: k\n", anywhere("ATIENC"), "0"),
    ("  k: ['cart*order']\n  condition: k\n", Matches("", r"(?is)^.*cart.*order.*$"), "2"),
    ("  k:\n    '|re': 'out (of|loud)'\n  condition: k\n", Matches("", "out (of|loud)"), "02"),
    ("  s: {message|contains: TIMED}\n  condition: s\n", anywhere("TIMED"), "0"),
    ("  s: {msg|startswith: 'timeout:'}\n  condition: s\n", Matches("", r"(?is)^timeout:.*$"), "2"),
    ("  s: {user: ADA}\n  condition: s\n", Matches("user", "(?is)^ADA$"), "1"),
    ("  s: {user|cased: ADA}\n  condition: s\n", Matches("user", "(?s)^ADA$"), ""),
    ("  s: {level: [error, fatal]}\n  condition: s\n",
     Any((Matches("level", "(?is)^error$"), Matches("level", "(?is)^fatal$"))), "14"),
    ("  s: {http.status_code: 500}\n  condition: s\n", Is("http.status_code", "500"), "1"),
    ("  s: {http.status_code|gte: 500}\n  condition: s\n",
     Between("http.status_code", "500", None, with_low=True), "01"),
    ("  s: {http.status_code|lt: 504}\n  condition: s\n",
     Between("http.status_code", None, "504", with_high=False), "1"),
    ("  s: {user: null}\n  condition: s\n", Not(Exists("user")), "02345"),
    ("  s: {user|exists: true}\n  condition: s\n", Exists("user"), "1"),
    ("  s: {service: api, user: ada}\n  condition: s\n",
     All((Matches("service", "(?is)^api$"), Matches("user", "(?is)^ada$"))), "1"),
    ("  a: {service: api}\n  b: [refused]\n  condition: a and not b\n",
     All((Matches("service", "(?is)^api$"), Not(anywhere("refused")))), "05"),
    ("  a1: [refused]\n  a2: [patience]\n  condition: 1 of a*\n", Any((anywhere("refused"), anywhere("patience"))), "01"),
]  # fmt: skip


@pytest.fixture(scope="module")
def known() -> dict[str, Condition]:
    return {detection: read(rule(detection))[0].asked for detection, _, _ in ASKED}


@pytest.mark.parametrize(("detection", "asked"), [(each[0], each[1]) for each in ASKED])
def test_a_detection_is_a_condition(known: dict[str, Condition], detection: str, asked: Condition) -> None:
    assert known[detection] == asked


def test_rules_find_records(engine: Engine, known: dict[str, Condition]) -> None:
    engine.insert_arrow("logs_received", log_columns(body()), token="t")
    lines = [line for _, _, line, _ in RECORDS]
    logs = LogStore(engine)

    def found(asked: Condition) -> str:
        records = logs.search(LogSearch(TimeRange(AT - 60, AT + 60), asked=asked, oldest_first=True))
        return "".join(str(lines.index(record.body)) for record in records)

    assert {each[0]: found(known[each[0]]) for each in ASKED} == {each[0]: each[2] for each in ASKED}


def test_rules_find_the_same_records_when_all_are_asked_at_once(engine: Engine, known: dict[str, Condition]) -> None:
    engine.insert_arrow("logs_received", log_columns(body()), token="t")
    lines = [line for _, _, line, _ in RECORDS]
    found = hits(engine, TimeRange(AT - 60, AT + 60), [known[each[0]] for each in ASKED], examples=len(lines))
    assert {ASKED[each.number][0]: sorted(lines.index(line.body) for line in each.newest) for each in found} == {
        detection: sorted(map(int, fitting)) for detection, _, fitting in ASKED if fitting
    }
    assert [each.records for each in found] == [len(each.newest) for each in found]


def test_a_rule_keeps_what_it_says_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    text, other = rule("  k: [refused]\n  condition: k\n"), rule("  k: [x]\n  condition: k\n", "B")
    path.write_text(
        f"{text}id: 6b1c3c52-5b1d-4f0c-9a53-2f6f0f4f1d01\ndescription: why\ntags: [attack.execution]\naction: stop it\n"
        f"---\n{other}"
    )
    first, second = load([path])
    assert (first.id, first.title, first.description, first.level, first.tags, first.action) == (
        "6b1c3c52-5b1d-4f0c-9a53-2f6f0f4f1d01", "A rule", "why", "high", ("attack.execution",), "stop it",
    )  # fmt: skip
    assert (second.id, second.title) == ("B", "B")
    assert checked(path) == "Sigma, 2 rules"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (rule("  k: [x]\n  condition: l\n"), 4, "Sigma rule 'A rule': Detection 'l' not defined in detections"),
        (rule("  k: [x]\n  condition: k and\n"), 4, "Sigma rule 'A rule': "),
        (rule("  k:\n    '|re': '(?=a)'\n  condition: k\n"), 4, "Sigma rule 'A rule': Regular expression '(?=a)'"),
        (rule("  s: {user|fieldref: other}\n  condition: s\n"), 4,
         "Sigma rule 'A rule': a FieldReference cannot be asked of a log record"),
        (rule("  s: {user|expand: '%admins%'}\n  condition: s\n"), 4,
         "Sigma rule 'A rule': placeholder %admins% has no values here"),
        ("title: A rule\nlogsource: {category: a}\n", 1, "Sigma rule 'A rule': "),
        ("title: many\ncorrelation: {type: event_count}\n", 2, "a Sigma correlation asks more than one record can answer"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_asked_says_where_and_why(text: str, line: int, what: str) -> None:
    with pytest.raises(ConfigError) as told:
        read(text, file="r.yml")
    assert (told.value.file, told.value.line) == ("r.yml", line)
    assert told.value.message.startswith(what), told.value.message
