"""Groups at work on a fake clock and a real control database: loops, failures, restarts, reloads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from aiprism.clock import FakeClock
from aiprism.detect.annotations import Surroundings
from aiprism.detect.groups import LARGE_VECTOR, RuleGroups, RuleStatus, first_slot_ms
from aiprism.detect.handoffs import Timing
from aiprism.detect.rules import Group
from aiprism.detect.signals import RuleQuestion
from aiprism.errors import Unavailable
from aiprism.model.alerts import Alert
from aiprism.model.samples import Sample, is_stale
from aiprism.query.promql.values import Answer, Scalar, Value
from aiprism.store.alertstates import AlertStates
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from tests.detect.ruling import group, until, vector


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield opened
    opened.close()


class World:
    """Everything around the groups: data that can be set, and what came out, in order."""

    def __init__(self, records: Records, *groups: Group, clock: FakeClock | None = None, **settings: object) -> None:
        self.clock = clock or FakeClock(1_700_000_000.0)
        self.states = AlertStates(records)
        self.telemetry = Telemetry()
        self.data: dict[str, Value] = {}
        self.broken: set[str] = set()  # expressions that fail, and "record", "notify"
        self.asked: list[tuple[str, float]] = []
        self.recorded: list[Sample] = []
        self.told: list[tuple[str, str]] = []
        self.told_alerts: list[Alert] = []
        self.before_answer: Callable[[str], Awaitable[None]] | None = None
        self.groups = RuleGroups(
            groups,
            query=self._query,
            record=self._record,
            notify=self._notify,
            states=self.states,
            clock=self.clock,
            telemetry=self.telemetry,
            **settings,  # type: ignore[arg-type]
        )

    async def _query(self, text: RuleQuestion, at: float) -> Value:
        assert isinstance(text, str)
        self.asked.append((text, at))
        if self.before_answer is not None:
            await self.before_answer(text)
        if text in self.broken:
            raise Unavailable(f"no answer to {text}")
        return self.data.get(text, vector({}))

    async def _record(self, samples: Sequence[Sample]) -> None:
        if "record" in self.broken:
            raise Unavailable("the store is away")
        self.recorded.extend(samples)

    async def _notify(self, alerts: Sequence[Alert]) -> None:
        if "notify" in self.broken:
            raise Unavailable("respond is away")
        self.told_alerts.extend(alerts)
        self.told.extend((alert.labels.get("i", alert.name), alert.state.value) for alert in alerts)

    def evaluations(self, name: str = "g") -> float:
        return sum(status.evaluated_at is not None for status in self.groups.status() if status.group.name == name)

    async def next_evaluation(self, seconds: float = 60.0) -> None:
        """Move on by `seconds` and wait until every group that had its turn has finished it."""
        slots = {
            status.group.key: first_slot_ms(status.group, round(self.clock.now() * 1000)) / 1000
            for status in self.groups.status()
        }
        await self.clock.advance(seconds)
        due = {key for key, slot in slots.items() if slot <= self.clock.now()}
        await until(
            lambda: all(
                (status.evaluated_at or 0.0) > self.clock.now() - status.group.interval
                for status in self.groups.status()
                if status.group.key in due
            )
        )

    def rule(self, name: str) -> RuleStatus:
        return next(rule for status in self.groups.status() for rule in status.rules if rule.rule.name == name)

    def series(self, name: str) -> list[tuple[int, str, float | str]]:
        """The recorded samples of a metric: milliseconds, alertstate or i, value or ``stale``."""
        return [
            (sample.ts_ms, sample.labels.get("alertstate", sample.labels.get("i", "")),
             "stale" if is_stale(sample.value) else sample.value)
            for sample in self.recorded
            if sample.labels.name == name
        ]  # fmt: skip


def play(world: World, *steps: object) -> None:
    """Start the groups, take each step (a change, or seconds to move on by), and stop."""

    async def run() -> None:
        await world.groups.start()
        await asyncio.sleep(0)  # the loops go to sleep
        try:
            for step in steps:
                if isinstance(step, int | float):
                    await world.next_evaluation(step)
                    continue
                assert callable(step)
                done = step()
                if asyncio.iscoroutine(done):
                    await done
        finally:
            await world.groups.stop()

    asyncio.run(run())


def setting(world: World, expression: str, **values: float) -> Callable[[], object]:
    return lambda: world.data.__setitem__(expression, vector(values))


def test_an_alert_is_told_when_it_fires_again_after_the_delay_and_once_when_it_is_over(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up, for: 1m}", interval="30s"))
    seen = setting(world, "up", a=1.0)
    gone = setting(world, "up")
    play(world, seen, 30, 30, lambda: world.told.append(("--", "")), 30, 30, 30, gone, 30, 30, 30)
    assert world.told == [("--", ""), ("a", "firing"), ("a", "firing"), ("a", "resolved")]


def test_a_large_vector_is_decided_beside_the_event_loop_with_the_same_outcome(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up}", interval="30s"))
    values = {f"s{at:04}": 1.0 for at in range(LARGE_VECTOR + 1)}
    play(world, setting(world, "up", **values), 30, setting(world, "up"), 30)
    assert world.told == [(name, "firing") for name in values] + [(name, "resolved") for name in values]


def test_alerts_leave_with_the_external_labels_unless_they_have_their_own(records: Records) -> None:
    around = Surroundings({"region": "eu", "i": "external"})
    world = World(records, group("{alert: A, expr: up}", interval="30s"), around=around)
    play(world, setting(world, "up", a=1.0), 30)
    assert [alert.labels.to_dict() for alert in world.told_alerts] == [{"alertname": "A", "i": "a", "region": "eu"}]
    assert [alert.labels.to_dict() for alert in world.rule("A").alerts] == [{"alertname": "A", "i": "a"}]


def test_evaluations_are_aligned_to_the_interval_and_shifted_by_the_group(records: Records) -> None:
    first, second = (
        group("{alert: A, expr: up}", interval="30s"),
        group("{alert: B, expr: x}", interval="30s", name="h"),
    )
    world = World(records, first, second)
    play(world, 60, 60)
    for one, expression in ((first, "up"), (second, "x")):
        times = [at for asked, at in world.asked if asked == expression]
        shift = first_slot_ms(one, 0) % 30_000 / 1000
        assert len(times) == 4
        assert {round(at % 30, 3) for at in times} == {shift}
    assert first_slot_ms(first, 0) != first_slot_ms(second, 0)


def test_query_offset_asks_and_records_in_the_past(records: Records) -> None:
    world = World(records, group("{record: r, expr: up}", interval="30s", query_offset="10s"))
    play(world, setting(world, "up", a=2.0), 30)
    [(_, asked_at)] = world.asked
    assert world.groups.status()[0].evaluated_at == asked_at + 10
    assert world.series("r") == [(round(asked_at * 1000), "a", 2.0)]


def test_a_slow_evaluation_is_never_overtaken_and_the_intervals_it_misses_are_counted(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up}", interval="10s"))
    answer = asyncio.Event()

    async def wait(text: str) -> None:
        await answer.wait()

    async def run() -> None:
        world.before_answer = wait
        await world.groups.start()
        await asyncio.sleep(0)
        await world.clock.advance(45)
        assert len(world.asked) == 1
        answer.set()
        await until(lambda: len(world.asked) == 2 and world.groups.status()[0].evaluated_at == world.asked[1][1])
        await world.groups.stop()

    asyncio.run(run())
    began, then = (at for _, at in world.asked)
    assert world.groups.status()[0].missed == round((then - began) / 10) - 1 >= 2


def test_a_rule_that_fails_keeps_its_alerts_and_does_not_stop_its_neighbours(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up}", "{alert: B, expr: '{x=\"y\"}'}", interval="30s"))
    both = [setting(world, "up", a=1.0), setting(world, '{x="y"}', b=1.0)]
    play(world, *both, 30, lambda: world.broken.add("up"), setting(world, '{x="y"}'), 30)
    assert (world.rule("A").health, world.rule("A").last_error) == ("err", "no answer to up")
    assert [alert.labels["i"] for alert in world.rule("A").alerts] == ["a"]
    assert (world.rule("B").health, world.rule("B").alerts) == ("ok", ())
    assert world.told == [("a", "firing"), ("b", "firing"), ("b", "resolved")]


def test_a_rule_whose_result_is_no_vector_is_unhealthy(records: Records) -> None:
    world = World(records, group("{alert: A, expr: 'x[5m]'}", "{record: r, expr: '1'}", interval="30s"))
    world.data = {"1": Scalar(0.0, 1.0), "x[5m]": "text"}  # type: ignore[dict-item]
    play(world, 30)
    assert world.rule("A").last_error == "rule result is not a vector or scalar"
    assert (world.rule("r").health, len(world.series("r"))) == ("ok", 1)


def test_a_bug_in_what_was_handed_in_does_not_end_the_loop(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up}", interval="30s"))

    async def crash(text: str) -> None:
        if len(world.asked) == 1:
            raise KeyError("a bug")

    world.before_answer = crash
    play(world, setting(world, "up", a=1.0), 30, 30)
    assert (world.rule("A").health, world.told) == ("ok", [("a", "firing")])


def test_a_series_that_vanishes_is_ended_with_a_staleness_marker(records: Records) -> None:
    world = World(records, group("{record: r, expr: up}", "{alert: A, expr: up, for: 30s}", interval="30s"))
    play(world, setting(world, "up", a=1.0, b=1.0), 30, setting(world, "up", a=1.0), 30)
    first, second = sorted({ts for ts, _, _ in world.series("r")})
    assert sorted(world.series("r"), key=str) == sorted(
        [(first, "a", 1.0), (first, "b", 1.0), (second, "a", 1.0), (second, "b", "stale")], key=str
    )
    ended = [(ts, state) for ts, state, value in world.series("ALERTS") if value == "stale"]
    assert ended == [(second, "pending"), (second, "pending")]


def test_a_rule_sees_what_a_rule_before_it_recorded_in_the_same_evaluation(records: Records) -> None:
    world = World(
        records,
        group("{record: r, expr: up}", "{record: other, expr: up}", "{alert: A, expr: r > 0}", "{alert: B, expr: up}"),
    )
    seen_by: dict[str, list[str]] = {}

    async def look(text: str) -> None:
        seen_by[text] = [sample.labels.name for sample in world.recorded]

    world.before_answer = look
    play(world, setting(world, "up", a=1.0), 60)
    assert seen_by["r > 0"] == ["r", "other"]


def test_samples_that_cannot_be_recorded_are_counted_and_alerts_are_told_all_the_same(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up}", "{record: r, expr: up}", interval="30s"))
    world.broken.add("record")
    play(world, setting(world, "up", a=1.0), 30)
    assert world.told == [("a", "firing")]
    assert world.rule("r").last_error == "the result was not recorded: the store is away"
    flow = {str(row["stage"]): row["dropped"] for row in world.telemetry.flow()}
    assert flow["detect.record"] == {"not_recorded": 3.0}


def test_alerts_that_are_not_accepted_are_told_again_at_the_next_evaluation(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up}", interval="30s"))
    world.broken.add("notify")
    fire, end = setting(world, "up", a=1.0), setting(world, "up")
    play(world, fire, 30, 30, end, 30, lambda: world.broken.clear(), 30, 30)
    assert world.told == [("a", "resolved")]


def test_a_restart_goes_on_where_the_last_run_was(records: Records) -> None:
    rules = group("{alert: A, expr: up, for: 2m}", "{alert: B, expr: x}", interval="30s")
    first = World(records, rules)
    play(first, setting(first, "up", a=1.0), setting(first, "x", b=1.0), 30, 30)
    [pending] = first.rule("A").alerts
    away = 600.0
    second = World(records, rules, clock=FakeClock(first.clock.now() + away))
    seen = [setting(second, "up", a=1.0), setting(second, "x", b=1.0)]
    play(second, *seen, 30, 30, lambda: second.told.append(("--", "")), 30, 30)
    assert [told for told in second.told if told[0] != "b"] == [("--", ""), ("a", "firing")]
    [fired] = second.rule("A").alerts
    waited = (second.groups.status()[0].evaluated_at or 0) - pending.active_at
    assert fired.active_at - pending.active_at == pytest.approx(waited - 120, abs=31)
    assert [told for told in second.told if told[0] == "b"] == [
        ("b", "firing")
    ] * 2  # the delay has passed, once more later
    assert second.rule("B").alerts[0].active_at == first.rule("B").alerts[0].active_at


def test_after_a_restart_what_is_not_seen_at_first_is_over_only_at_the_third_evaluation(records: Records) -> None:
    rules = group("{alert: A, expr: up}", interval="30s")
    first = World(records, rules)
    play(first, setting(first, "up", a=1.0), 30)
    second = World(records, rules, clock=first.clock)
    play(second, 30, 30, lambda: second.told.append(("--", "")), 30)
    assert second.told[-2:] == [("--", ""), ("a", "resolved")]
    assert ("a", "resolved") not in second.told[:-1]


def test_after_a_restart_a_short_interval_does_not_make_an_alert_over_sooner_than_half_a_minute(
    records: Records,
) -> None:
    rules = group("{alert: A, expr: up}", interval="5s")
    first = World(records, rules)
    play(first, setting(first, "up", a=1.0), 5)
    second = World(records, rules, clock=first.clock)
    play(second, *[5] * 5, lambda: second.told.append(("--", "")), 5, 5)
    assert second.told[-2:] == [("--", ""), ("a", "resolved")]
    assert ("a", "resolved") not in second.told[:-1]


def test_what_was_not_told_before_the_kill_is_told_after_it(records: Records) -> None:
    rules = group("{alert: A, expr: up}", interval="30s")
    first = World(records, rules)
    play(first, setting(first, "up", a=1.0), 30, lambda: first.broken.add("notify"), setting(first, "up"), 30)
    assert first.told == [("a", "firing")]
    second = World(records, rules, clock=first.clock)
    play(second, 30, 30, 30)
    assert second.told == [("a", "resolved")]


def test_what_was_told_before_the_kill_is_not_told_again(records: Records) -> None:
    rules = group("{alert: A, expr: up}", interval="30s")
    first = World(records, rules)
    play(first, setting(first, "up", a=1.0), 30, setting(first, "up"), 30)
    second = World(records, rules, clock=first.clock)
    play(second, 30, 30, 30)
    assert (first.told, second.told) == ([("a", "firing"), ("a", "resolved")], [])


def test_alerts_of_a_rule_that_is_gone_after_a_restart_are_told_over_until_accepted(records: Records) -> None:
    first = World(records, group("{alert: A, expr: up}", "{alert: P, expr: p, for: 1h}", interval="30s"))
    play(first, setting(first, "up", a=1.0), setting(first, "p", b=1.0), 30)
    second = World(records, group("{alert: B, expr: x}", interval="30s"), clock=first.clock)
    second.broken.add("notify")

    async def retry() -> None:
        await second.clock.advance(5)
        second.broken.clear()
        await second.clock.advance(5)
        await until(lambda: second.states.load().alerts == {})

    play(second, retry)
    assert second.told == [("a", "resolved")]
    third = World(records, group("{alert: B, expr: x}", interval="30s"), clock=first.clock)
    play(third, 30)
    assert third.told == []


def test_states_that_cannot_be_kept_are_kept_at_the_next_evaluation(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(records, group("{alert: A, expr: up}", interval="30s"))
    save, calls = world.states.save, list[str]()

    def fail_once(*given: object, **more: object) -> None:
        calls.append("save")
        if len(calls) == 1:
            raise Unavailable("disk full")
        save(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.states, "save", fail_once)
    play(world, setting(world, "up", a=1.0), 30, 30)
    [kept] = [kept for alerts in world.states.load().alerts.values() for kept in alerts]
    assert (len(calls), kept.alert.labels["i"], kept.alert.state.value) == (2, "a", "firing")


def test_only_what_changed_is_written(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(records, group("{alert: A, expr: up}", interval="10s"), timing=Timing(resend_delay=1e9))
    written: list[tuple[int, int]] = []
    save = world.states.save

    def note(key: str, at: float | None, changed: Sequence[object], gone: Sequence[object] = ()) -> None:
        written.append((len(changed), len(gone)))
        save(key, at, changed, gone)  # type: ignore[arg-type]

    monkeypatch.setattr(world.states, "save", note)
    values = [setting(world, "up", a=1.0, b=1.0), 10, setting(world, "up", a=2.0, b=1.0), 10]
    play(world, 10, *values, setting(world, "up", a=2.0), 10, setting(world, "up"), 10, 10)
    assert written == [(2, 0), (0, 0), (1, 0), (1, 0)]


def test_a_reload_does_not_disturb_an_unchanged_group(records: Records) -> None:
    rules = group("{alert: A, expr: up, for: 1m}", interval="30s")
    world = World(records, rules)

    async def reload() -> None:
        await world.groups.reload([group("{alert: A, expr: up, for: 1m}", interval="30s")])

    play(world, setting(world, "up", a=1.0), 30, reload, 30, reload, 30)
    assert world.told == [("a", "firing")]
    assert len(world.asked) == 3


def test_a_changed_rule_keeps_its_alerts_and_a_removed_one_is_told_over(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up, for: 1m}", "{alert: B, expr: x}", interval="30s"))
    values = [setting(world, "up", a=1.0), setting(world, "x", b=1.0), setting(world, "up > 0", a=1.0)]

    async def reload() -> None:
        await world.groups.reload([group("{alert: A, expr: up > 0, for: 1m}", interval="30s")])
        await until(lambda: ("b", "resolved") in world.told)

    play(world, *values, 30, 30, reload, 30)
    assert world.told == [("b", "firing"), ("b", "resolved"), ("a", "firing")]
    [ended] = {ts for ts, _, value in world.series("ALERTS_FOR_STATE") if value == "stale"}
    assert ended == round(world.clock.now() * 1000) - 30_000
    assert [kept.alert.labels["i"] for alerts in world.states.load().alerts.values() for kept in alerts] == ["a"]


def test_a_reload_begins_new_groups_and_ends_those_that_are_gone(records: Records) -> None:
    world = World(records, group("{alert: A, expr: up}", interval="30s"))

    async def reload() -> None:
        await world.groups.reload([group("{alert: A, expr: up}", interval="30s", name="h")])
        await until(lambda: world.told[-1] == ("a", "resolved"))

    play(world, setting(world, "up", a=1.0), 30, reload, 30)
    assert world.told == [("a", "firing"), ("a", "resolved"), ("a", "firing")]
    assert [status.group.name for status in world.groups.status()] == ["h"]


def test_at_most_so_many_expressions_are_asked_at_once(records: Records) -> None:
    rules = [f"{{alert: A{at}, expr: x{at}}}" for at in range(9)]
    world = World(records, group(*rules, interval="30s"), concurrency=2)
    at_once: list[int] = [0]
    most: list[int] = []

    async def count(text: str) -> None:
        at_once[0] += 1
        most.append(at_once[0])
        await asyncio.sleep(0)
        at_once[0] -= 1

    world.before_answer = count
    play(world, 30)
    assert (len(world.asked), max(most)) == (9, 2)


class SteppedClock(FakeClock):
    """A clock somebody sets: sleepers do not notice."""

    step = 0.0

    def now(self) -> float:
        return super().now() + self.step


def test_when_the_wall_clock_is_set_back_the_groups_go_on_from_there(records: Records) -> None:
    clock = SteppedClock(1_700_000_000.0)
    world = World(records, group("{alert: A, expr: up}", interval="30s"), clock=clock)

    async def run() -> None:
        await world.groups.start()
        await asyncio.sleep(0)
        await world.next_evaluation(30)
        clock.step = -3600
        await clock.advance(30)
        await until(lambda: len(world.asked) == 2 and world.rule("A").evaluated_at == world.asked[1][1])
        await asyncio.sleep(0)
        await clock.advance(30)
        await until(lambda: len(world.asked) == 3)
        await world.groups.stop()

    asyncio.run(run())
    times = [at for _, at in world.asked]
    assert times[1] - times[0] == 30
    assert times[2] - times[1] == pytest.approx(-3600, abs=60)


def test_quick_rules_are_asked_in_one_go_and_slow_ones_side_by_side(records: Records) -> None:
    seconds = {"q1": 0.1, "q2": 0.1, "slow": 1.0, "q3": 0.2}
    packs: list[list[str]] = []

    async def ask_all(texts: Sequence[str], at: float) -> list[Answer]:
        packs.append(list(texts))
        return [Answer(broken if text == "q2" else vector({text: 1.0}), seconds[text]) for text in texts]

    broken = Unavailable("no answer to q2")
    rules = [f"{{record: 'r:{text}', expr: {text}}}" for text in seconds]
    world = World(records, group(*rules, interval="30s"), query_all=ask_all)
    play(world, 30, 30, 30)
    # Nobody knows at first how long they take: each is asked on its own.
    assert packs == [list(seconds), ["q1", "q2"]]
    assert [text for text, _ in world.asked] == [*seconds, "slow", "q3"]
    assert (world.rule("r:q2").health, world.rule("r:q2").last_error) == ("err", "no answer to q2")
    assert world.series("r:q1")[-1][1:] == ("q1", 1.0)
