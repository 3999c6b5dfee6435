"""Rules on logs and traces: what a file may say, what is counted on the real store, and that they are evaluated like any rule."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.config import IngestConfig
from aiprism.detect import rules, signals
from aiprism.detect.groups import RuleGroups
from aiprism.detect.rules import Group
from aiprism.detect.signals import Answers, Reading, RuleQuestion
from aiprism.errors import ConfigError, LimitExceeded
from aiprism.model.alerts import Alert
from aiprism.query.promql import PromQL, Vector
from aiprism.query.promql.values import Answer
from aiprism.store.alertstates import AlertStates
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.question import Question
from aiprism.store.records import Records
from aiprism.store.samples import SampleStore
from aiprism.store.seriesload import load_series
from aiprism.store.signals import SignalStore
from aiprism.store.spancolumns import span_columns
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from tests.detect.ruling import until
from tests.query.test_log_search import log_record
from tests.query.test_span_search import AT, SPANS_SENT, Sent, sent

START = 1_790_000_040  # a whole minute


def group(*written: str, reading: Reading | None = Reading(), **fields: object) -> Group:  # noqa: B008 - frozen
    """A group of rules, each written as one YAML mapping in braces."""
    head = "".join(f"  {key}: {value}\n" for key, value in fields.items())
    body = "".join(f"  - {rule}\n" for rule in written)
    text = f"groups:\n- name: g\n{head}  rules:\n{body}"
    [read] = rules.read(yamlfile.parse(text, file="s.yml"), reading=reading)
    return read


def question(written: str) -> RuleQuestion:
    """What a recording rule with these fields asks."""
    return group(f"{{record: m, {written}}}").rules[0].question


# -- what a file may say -----------------------------------------------------------------------------------------------

SHOWN = [
    ("{record: m, logs: 'level:ERROR  x', over: 5m}", "count (logs{level:ERROR x}[5m])"),
    ("{record: m, logs: '', value: rate, by: service, over: 90s}", "rate by (service) (logs{}[1m30s])"),
    (
        "{record: m, logs: '\"timed out\"', value: 'quantile( 0.990, wait )', by: [service, http.route], over: 1h}",
        'quantile(0.99, wait) by (service, http.route) (logs{"timed out"}[1h])',
    ),
    ("{alert: A, logs: x, value: distinct(user), over: 1m, when: '>=10'}", "distinct(user) (logs{x}[1m]) >= 10"),
    ("{alert: A, logs: x, value: avg(a.b), over: 1m, when: '!= 0.5'}", "avg(a.b) (logs{x}[1m]) != 0.5"),
]


@pytest.mark.parametrize(("rule", "shown"), SHOWN)
def test_what_a_rule_asks_is_shown_in_the_manner_of_promql(rule: str, shown: str) -> None:
    [read] = group(rule).rules
    assert (read.shown, read.expr, read.reads) == (shown, shown, frozenset())


ON_TRACES = [
    (
        "{alert: A, traces: 'service:api duration:>2s', value: 'quantile(0.95)', by: service, over: 5m, when: '> 1m30s'}",
        "quantile(0.95, duration) by (service) (traces{service:api duration:>2s}[5m]) > 90",
    ),
    ("{record: m, traces: 'kind:server', value: error_share, over: 5m}", "error_share (traces{kind:server}[5m])"),
    ("{record: m, traces: '', value: max(duration), over: 5m}", "max(duration) (traces{}[5m])"),
]


@pytest.mark.parametrize(("rule", "shown"), ON_TRACES)
def test_rules_on_traces_are_shown_alike(rule: str, shown: str) -> None:
    assert group(rule).rules[0].shown == shown


@pytest.mark.parametrize(
    "rule", [rule for rule, _ in (*SHOWN, *ON_TRACES)] + ["{alert: A, logs: x, over: 1s, when: '> 1234567.5'}"]
)
def test_what_a_rule_asks_is_written_as_a_file_says_it(rule: str) -> None:
    [read] = group(rule).rules
    assert not isinstance(read.question, str)
    fields = json.dumps(signals.written(read.question))[1:-1]
    head = "alert: A" if read.question.when else "record: m"
    assert group(f"{{{head}, {fields}}}").rules[0].question == read.question


WRONG = [
    ("{record: m, traces: 'duration:>fast', over: 1m}", "at groups[0].rules[0].traces"),
    ("{record: m, traces: x, logs: x, over: 1m}", "not 'logs' and 'traces'"),
    ("{alert: A, traces: x, over: 1m, when: '> 2s'}", "'> 2s' is no comparison"),
    ("{alert: A, logs: x, over: 1m, value: avg(duration), when: '> 2s'}", "'> 2s' is no comparison"),
    ("{record: m, traces: x, over: 1m, value: p99}", "quantile(0.99) of the duration, error_share"),
    (
        "{alert: A, logs: x, expr: up, over: 1m, when: '> 1'}",
        "a rule asks one thing: PromQL with 'expr', logs with 'logs', traces with 'traces', or a saved search with 'search', "
        "not 'expr' and 'logs'",
    ),
    ("{alert: A, logs: '(x', over: 1m, when: '> 1'}", "query: a ( is not closed (at groups[0].rules[0].logs)"),
    ("{alert: A, logs: x, when: '> 1'}", "needs an 'over', how far back records count, as 5m"),
    (
        "{alert: A, logs: x, over: 8d, when: '> 1'}",
        "is a duration above 0s, and 1w at most (at groups[0].rules[0].over)",
    ),
    ("{alert: A, logs: x, over: 0, when: '> 1'}", "is a duration above 0s"),
    ("{alert: A, logs: x, over: 1m}", "an alert needs a 'when', as '> 10'"),
    ("{alert: A, logs: x, over: 1m, when: many}", "'many' is no comparison; write one of > >= < <= == != and a number"),
    ("{alert: A, logs: x, over: 1m, when: '> nan'}", "'> nan' is no comparison"),
    ("{record: m, logs: x, over: 1m, when: '> 1'}", "'when' is for alerts; a recording rule records every value"),
    ("{record: m, logs: x, over: 1m, for: 1m}", "'for' is for alerts"),
    ("{record: m, logs: x, over: 1m, valeu: rate}", "unknown key 'valeu' in groups[0].rules[0]; did you mean 'value'?"),
    ("{record: m, logs: x, over: 1m, value: median}", "'median' is no value; there are count, rate, distinct(FIELD)"),
    ("{record: m, logs: x, over: 1m, value: error_share}", "'error_share' is no value"),
    ("{record: m, logs: x, over: 1m, value: sum}", "'sum': sum takes a field; there are"),
    ("{record: m, logs: x, over: 1m, value: count(x)}", "'count(x)': count takes nothing; there are"),
    (
        "{record: m, logs: x, over: 1m, value: 'quantile(99, w)'}",
        "'99' is no quantile; write for example quantile(0.99, w)",
    ),
    ("{record: m, logs: x, over: 1m, by: [a.b, a_b]}", "'a_b' becomes the label 'a_b', which is there already"),
    ("{record: m, logs: x, over: 1m, by: [__name__]}", "'__name__' is no field to count by"),
    (
        "{record: m, logs: x, over: 1m, by: [a, b, c, d, e, f, g, h, i]}",
        "9 fields are too many to count by: 8 are read",
    ),
]


@pytest.mark.parametrize(("rule", "told"), WRONG)
def test_a_mistake_is_told_with_its_line_and_how_to_mend_it(rule: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        group(rule)
    assert str(refused.value).startswith("s.yml:4: group 'g': ")
    assert told in str(refused.value)


def test_the_example_of_the_documentation_is_read() -> None:
    page = Path("docs/rules.md").read_text(encoding="utf-8")
    [block] = re.findall(r"test_signals.py reads this block -->\n```yaml\n(.*?)```", page, re.DOTALL)
    [read] = rules.read(yamlfile.parse(block, file="s.yml"), reading=Reading())
    assert [rule.shown for rule in read.rules] == [
        "count by (service) (logs{level:ERROR service:checkout}[5m]) > 10",
        'count (logs{service:scheduler "still alive"}[5m]) < 1',
        "quantile(0.99, wait_ms) (logs{service:checkout _exists_:wait_ms}[5m])",
        "quantile(0.95, duration) (traces{service:worker name:analyse*}[10m]) > 30",
        "error_share by (gen_ai.request.model) (traces{kind:client _exists_:gen_ai.request.model}[5m]) > 0.05",
    ]


def test_a_file_that_prometheus_reads_too_has_no_rules_on_logs() -> None:
    with pytest.raises(ConfigError, match=r"stands in a file of rules\.signals"):
        group("{record: m, logs: x, over: 1m}", reading=None)


def test_groups_with_such_rules_are_asked_late_unless_they_say_how_much() -> None:
    asked, promql = "{record: m, logs: x, over: 1m}", "{record: n, expr: up}"
    assert [
        group(asked).query_offset,
        group(promql, asked, reading=Reading(delay=3.0)).query_offset,
        group(asked, query_offset="1m").query_offset,
        group(promql).query_offset,
    ] == [10.0, 3.0, 60.0, 0.0]


# -- what is counted ---------------------------------------------------------------------------------------------------

# Milliseconds after START, level, service, line, attributes.
Line = tuple[int, str, str, str, Mapping[str, object]]
LINES: list[Line] = [
    (0, "INFO", "api", "handled", {"wait": 0.5, "user": "ada", "http.route": "/a"}),
    (59_999, "ERROR", "api", "failed", {"wait": 1.5, "user": "bob", "http.route": "/b"}),
    (60_000, "ERROR", "cart", "failed", {"wait": 4, "user": "ada"}),
    (61_500, "INFO", "cart", "handled", {"wait": "none", "user": "ada"}),
    (119_000, "ERROR", "api", "failed too", {"wait": "inf", "user": "eve"}),
]


def store_lines(engine: Engine, lines: Sequence[Line], *, start: int = START) -> None:
    """Store lines at milliseconds after `start`."""
    body = b"".join(
        log_record((start * 1000 + ms) * 1_000_000, level, line, service, attributes=attributes)
        for ms, level, service, line, attributes in lines
    )
    engine.insert_arrow("logs_received", log_columns(body), token=repr(lines))


def answers_on(engine: Engine, most: int = 1000) -> Answers:
    promql = PromQL(SampleStore(engine, load_series(engine)))
    return Answers(promql, engine, SignalStore(engine, most), seconds=60.0)


def values(found: Vector) -> dict[str, float]:
    return {",".join(f"{k}={v}" for k, v in item.labels.pairs): item.value for item in found.items}


COUNTED = [
    ("logs: '', over: 2m", {"": 5.0}),
    ("logs: '', over: 1m", {"": 3.0}),
    ("logs: failed, over: 1m", {"": 2.0}),
    ("logs: failed, over: 2m, value: rate", {"": 3 / 120}),
    ("logs: nowhere, over: 2m", {"": 0.0}),
    ("logs: nowhere, over: 2m, value: rate", {"": 0.0}),
    ("logs: nowhere, over: 2m, value: distinct(user)", {"": 0.0}),
    ("logs: nowhere, over: 2m, value: sum(wait)", {"": 0.0}),
    ("logs: nowhere, over: 2m, value: avg(wait)", {}),
    ("logs: nowhere, over: 2m, by: service", {}),
    ("logs: '', over: 2m, by: service", {"service=api": 3.0, "service=cart": 2.0}),
    (
        "logs: '', over: 2m, by: [service, level]",
        {"level=ERROR,service=api": 2.0, "level=INFO,service=api": 1.0} |
        {"level=ERROR,service=cart": 1.0, "level=INFO,service=cart": 1.0},
    ),
    ("logs: '', over: 2m, by: http.route", {"http_route=/a": 1.0, "http_route=/b": 1.0, "": 3.0}),
    ("logs: '', over: 2m, value: distinct(user)", {"": 3.0}),
    ("logs: '', over: 2m, value: sum(wait)", {"": 6.0}),
    ("logs: '', over: 2m, value: avg(wait)", {"": 2.0}),
    ("logs: '', over: 2m, value: min(wait), by: service", {"service=api": 0.5, "service=cart": 4.0}),
    ("logs: '', over: 2m, value: max(wait), by: service", {"service=api": 1.5, "service=cart": 4.0}),
    ("logs: '', over: 2m, value: 'quantile(1, wait)'", {"": pytest.approx(4.0, rel=0.01)}),
    ("logs: '', over: 2m, value: 'quantile(0, wait)'", {"": pytest.approx(0.5, rel=0.01)}),
]  # fmt: skip


@pytest.fixture
def stocked(engine: Engine) -> Engine:
    store_lines(engine, LINES)
    return engine


def test_each_measure_is_of_the_records_of_its_window(stocked: Engine) -> None:
    answers = answers_on(stocked)
    asked = [question(written) for written, _ in COUNTED]
    together = answers.vectors([*asked, "vector(7)"], START + 120)
    assert values(_vector(together.pop())) == {"": 7.0}
    assert [values(_vector(each)) for each in together] == [wanted for _, wanted in COUNTED]
    assert values(answers.vector(asked[1], START + 120)) == COUNTED[1][1]


def _vector(answer: Answer) -> Vector:
    assert isinstance(answer.value, Vector), answer.value
    return answer.value


def test_measures_of_one_selection_share_a_statement(stocked: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    query = stocked.query

    def noted(sql: str, bound: Mapping[str, object] | None = None) -> Sequence[Sequence[object]]:
        statements.append(sql)
        return query(sql, bound)

    monkeypatch.setattr(stocked, "query", noted)
    same = ["logs: failed, over: 2m", "logs: failed, over: 2m, value: rate", "logs: failed, over: 2m, value: max(wait)"]
    other = ["logs: failed, over: 1m"]
    answers = answers_on(stocked)
    statements.clear()
    found = answers.vectors([question(each) for each in same + other], START + 120)
    assert [list(values(_vector(each)).values()) for each in found] == [[3.0], [3 / 120], [4.0], [2.0]]
    assert len(statements) == 2


ON_SPANS = [
    ("traces: '', over: 1m", {"": 5.0}),
    ("traces: '', over: 57s", {"": 3.0}),  # those that ended from second 3 on
    ("traces: 'service:api duration:>2s', over: 1m", {"": 1.0}),
    ("traces: nowhere, over: 1m, value: rate", {"": 0.0}),
    ("traces: nowhere, over: 1m, value: error_share", {}),
    ("traces: 'service:worker', over: 1m, value: error_share", {"": 0.5}),
    ("traces: '', over: 1m, by: status", {"status=unset": 3.0, "status=ok": 1.0, "status=error": 1.0}),
    ("traces: '', over: 1m, by: user", {"user=ada": 1.0, "": 4.0}),
    ("traces: '', over: 1m, by: attributes.user", {"attributes_user=ada": 1.0, "": 4.0}),
    ("traces: '', over: 1m, by: host.name", {"host_name=h1": 4.0, "host_name=mine": 1.0}),
    ("traces: '', over: 1m, by: [resource.host.name, scope.lane]", {"resource_host_name=h1,scope_lane=fast": 5.0}),
    ("traces: '', over: 1m, value: distinct(service)", {"": 3.0}),
    ("traces: 'service:worker', over: 1m, value: max(duration)", {"": 2.4}),
    ("traces: 'service:worker', over: 1m, value: sum(wait)", {"": 0.25}),
    ("traces: 'service:worker', over: 1m, value: quantile(1)", {"": pytest.approx(2.4, rel=0.01)}),
]  # fmt: skip


def test_spans_are_measured_in_the_window_in_which_they_end(engine: Engine) -> None:
    long = Sent("train", "slow", took_ms=50 * 60_000)
    engine.insert_arrow("spans", span_columns(sent([*SPANS_SENT, long])), token="t")
    answers = answers_on(engine)
    found = answers.vectors([question(written) for written, _ in ON_SPANS], AT + 60)
    assert [values(_vector(each)) for each in found] == [wanted for _, wanted in ON_SPANS]
    ending = question("traces: '', over: 1m, by: name")
    assert values(answers.vector(ending, AT + 3030)) == {"name=train": 1.0}
    matrix = answers.range(ending, AT, AT + 3060, 60.0, Question(60.0))
    assert sum(sum(each.values) for each in matrix) == len(SPANS_SENT) + 1


def test_more_series_than_the_limit_is_an_error_that_names_it(stocked: Engine) -> None:
    answers = answers_on(stocked, most=2)
    asked = [question(f"logs: '', over: 2m, by: [{by}]") for by in ("service", "user")]
    fine, many = answers.vectors(asked, START + 120)
    assert len(_vector(fine)) == 2
    assert isinstance(many.value, LimitExceeded)
    assert str(many.value).startswith("more than 2 series by user (limit rules.signal_series)")


def test_what_a_question_gives_over_time_is_what_it_gives_at_each_moment(stocked: Engine) -> None:
    answers = answers_on(stocked)
    step, count = 25.0, 8
    moments = [START - 10 + at * step for at in range(count)]
    for written, _ in COUNTED:
        asked = question(written)
        one_by_one: dict[str, list[tuple[float, float]]] = {}
        for at in moments:
            for name, value in values(answers.vector(asked, at)).items():
                one_by_one.setdefault(name, []).append((at, value))
        matrix = answers.range(asked, moments[0], moments[-1], step, Question(60.0))
        at_once = {",".join(f"{k}={v}" for k, v in each.labels.pairs): each.points() for each in matrix}
        assert at_once == one_by_one, written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    times=st.lists(st.integers(0, 240_000_000), max_size=30), over=st.integers(1, 90_000), first=st.integers(0, 90_000)
)
def test_windows_that_follow_each_other_hold_every_line_once(
    engine: Engine, times: list[int], over: int, first: int
) -> None:
    """Lines at microseconds after START, windows of so many milliseconds: their counts add up to the whole."""
    engine.command("TRUNCATE TABLE logs")
    if times:
        body = b"".join(log_record(START * 10**9 + us * 1000, "INFO", "line") for us in times)
        engine.insert_arrow("logs_received", log_columns(body), token=repr((times, over, first)))
    asked = question(f"logs: line, over: {over}ms")
    windows = 240_000 // over + 3
    start = START + (first % over) / 1000
    matrix = answers_on(engine).range(asked, start, start + (windows - 1) * over / 1000, over / 1000, Question(60.0))
    assert sum(sum(each.values) for each in matrix) == len(times)


# -- evaluated like any rule -------------------------------------------------------------------------------------------


class Evaluated:
    """Rules on the real store, evaluated under a fake clock."""

    def __init__(self, engine: Engine, records: Records) -> None:
        index = load_series(engine)
        self.engine, self.clock, self.told = engine, FakeClock(START), list[Alert]()
        self.writing = Writing(engine, index, IngestConfig(), Telemetry())
        self.promql = PromQL(SampleStore(engine, index))
        self.answers = Answers(self.promql, engine, SignalStore(engine), seconds=60.0)
        self.states = AlertStates(records)

    def groups(self, *loaded: Group) -> RuleGroups:
        async def query(asked: RuleQuestion, at: float) -> Vector:
            return await self.engine.run(self.answers.vector, asked, at)

        async def query_all(asked: Sequence[RuleQuestion], at: float) -> Sequence[Answer]:
            return await self.engine.run(self.answers.vectors, asked, at)

        async def notify(alerts: Sequence[Alert]) -> None:
            self.told.extend(alerts)

        return RuleGroups(
            loaded,
            query=query,
            query_all=query_all,
            record=self.writing.append,
            notify=notify,
            states=self.states,
            clock=self.clock,
        )

    async def step(self, running: RuleGroups, seconds: float) -> None:
        """One evaluation later."""
        await asyncio.sleep(0)  # so that its loop waits for the clock
        before = running.status()[0].evaluated_at
        await self.clock.advance(seconds)
        await until(lambda: running.status()[0].evaluated_at != before)


@pytest.fixture
def evaluated(engine: Engine, tmp_path: Path) -> Iterator[Evaluated]:
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield Evaluated(engine, records)
    records.close()


FAILURES = (
    "{alert: CheckoutErrors, logs: 'level:ERROR failed', by: [service], over: 1m, when: '> 1', for: 1m, keep_firing_for: 1m, "
    "labels: {severity: critical}, annotations: {summary: '{{ $labels.service }}: {{ $value }} failures'}}"
)
SILENT = "{alert: NoHeartbeat, logs: '\"still alive\"', over: 1m, when: '< 1'}"
RECORDED = "{record: 'service:errors:count1m', logs: 'level:ERROR', by: [service], over: 1m, labels: {of: logs}}"


def test_alerts_on_logs_wait_fire_and_end_and_counts_are_recorded(evaluated: Evaluated) -> None:
    failed: list[Line] = [(ms, "ERROR", "cart", "failed", {}) for ms in range(0, 180_000, 20_000)]
    alive: list[Line] = [(ms, "INFO", "cart", "still alive", {}) for ms in range(-30_000, 120_000, 30_000)]
    store_lines(evaluated.engine, [*failed, *alive])
    loaded = group(FAILURES, SILENT, RECORDED, interval="1m")

    async def run() -> list[tuple[str, list[str]]]:
        evaluated.writing.start()
        running, seen = evaluated.groups(loaded), list[tuple[str, list[str]]]()
        await running.start()
        for minute in range(7):
            if minute == 2:  # `for` goes on over a restart
                await running.stop()
                running = evaluated.groups(loaded)
                await running.start()
            await evaluated.step(running, 60)
            told = [
                f"{a.labels['alertname']} {a.state.value} {a.annotations.get('summary', '')}" for a in evaluated.told
            ]
            states = [a.state.value for rule in running.status()[0].rules[:1] for a in rule.alerts]
            assert [rule.last_error for rule in running.status()[0].rules] == ["", "", ""]
            seen.append((" ".join(states), told))
            evaluated.told.clear()
        await running.stop()
        await evaluated.writing.stop()
        return seen

    seen = asyncio.run(run())
    # The restart costs an evaluation; lines of errors end after 160 s, of which `keep_firing_for` makes a minute more.
    failing, silent = "CheckoutErrors firing cart: 3 failures", "NoHeartbeat firing "
    assert seen == [
        ("", []),
        ("pending", []),
        ("pending", []),
        ("firing", [failing, silent]),
        ("firing", [failing, silent]),
        ("", ["CheckoutErrors resolved cart: 3 failures", silent]),
        ("", [silent]),
    ]
    found = evaluated.promql.range("service:errors:count1m", START, START + 600, 60.0)
    assert {each.labels.to_dict()["of"] + each.labels["service"] for each in found} == {"logscart"}


def test_a_line_that_comes_late_is_counted_when_it_is_there_before_the_delay_is_over(evaluated: Evaluated) -> None:
    loaded = group("{record: seen, logs: late, over: 1m}", interval="1m")

    async def run() -> None:
        evaluated.writing.start()
        running = evaluated.groups(loaded)
        await running.start()
        await evaluated.step(running, 60)
        at = running.status()[0].evaluated_at or 0.0
        # Its window [at - 10 s, at + 50 s) is asked at at + 60 s; the line comes 9 s after its own time.
        sent = round((at + 49.5 - START) * 1000)
        await evaluated.clock.advance(at + 58.5 - evaluated.clock.now())
        store_lines(evaluated.engine, [(sent, "INFO", "api", "late", {})])
        await evaluated.step(running, 1.5)
        await running.stop()
        await evaluated.writing.stop()
        [found] = evaluated.promql.vector("seen", at + 50)
        assert found.value == 1.0

    asyncio.run(run())


def test_what_fails_of_one_rule_is_said_at_that_rule(evaluated: Evaluated) -> None:
    store_lines(evaluated.engine, LINES)
    evaluated.answers = answers_on(evaluated.engine, most=1)
    many = "{record: many, logs: '', by: [user], over: 5m}"

    async def run() -> Sequence[str]:
        evaluated.writing.start()
        running = evaluated.groups(group(many, "{record: one, logs: '', over: 5m}", interval="1m"))
        await running.start()
        await evaluated.step(running, 180)
        await running.stop()
        await evaluated.writing.stop()
        return [rule.last_error for rule in running.status()[0].rules]

    many_error, fine = asyncio.run(run())
    assert "more than 1 series by user (limit rules.signal_series)" in many_error
    assert fine == ""
