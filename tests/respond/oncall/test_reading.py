"""oncall.yml: what is wrong with it, and where nobody will be on call."""

from __future__ import annotations

import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError
from aiprism.respond.oncall import reading
from tests.respond.making import T0

PEOPLE = "people: {ann: {receivers: phone}, bob: {receivers: [phone]}}\n"
LAYER = "{start: 2026-11-23, people: ann}"


def read(text, known=("phone", "chat")):
    return reading.read(yamlfile.parse(text, file="oncall.yml"), known)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("schedules: {}", "1: nobody is there to be on call: write them below `people:"),
        (
            'people: {ann: {email: "a@x\\nATTENDEE:b@x", receivers: phone}}',
            r"1: 'a@x\nATTENDEE:b@x' is no address; write for example ann@example.org",
        ),
        ("people: {ann: {}}", "1: ann cannot be reached: write receivers of alertmanager.yml"),
        ("people: {ann: {receivers: fone}}", "1: 'fone' is no receiver of alertmanager.yml; known: phone, chat"),
        ("people: {ann: {receivers: [{receiver: phone, after: 2m}]}}", "1: ann is told by nothing at once"),
        ("people: {a b: {receivers: phone}}", "1: 'a b' is no name"),
        ("people: {ann: {receivers: phone, zone: Mars}}", "1: unknown time zone 'Mars'"),
        (PEOPLE + "schedules: {s: {}}", "2: schedule 's' needs layers"),
        (PEOPLE + "schedules:\n  s:\n    layers:\n      - {start: 2026-11-23, people: cy}", "5: nobody is called 'cy'; known: ann"),
        (PEOPLE + "schedules: {s: {layers: [{people: ann}]}}", "2: is required (at schedules.s.layers[0].start)"),
        (PEOPLE + "schedules: {s: {layers: [{start: 2026-11-23}]}}", "2: a layer needs people (who take turns), or a file"),
        (PEOPLE + "schedules: {s: {layers: [{start: Monday, people: ann}]}}", "2: 'Monday' is no day; write for example"),
        (PEOPLE + "schedules: {s: {layers: [{start: 2026-11-23, every: 8h, people: ann}]}}", "2: a turn lasts whole days or weeks"),
        (PEOPLE + "schedules: {s: {layers: [{start: 2026-11-23, handoff: '9', people: ann}]}}", "2: '9' is no time of the day"),
        (PEOPLE + "schedules: {s: {layers: [{start: 2026-11-23, end: 2026-11-23, people: ann}]}}", "2: the layer ends before"),
        (
            PEOPLE + "schedules: {s: {layers: [{start: 2026-11-23, people: ann, hours: [{days: [mon]}]}]}}",
            "2: 'mon' is no day of the week; write one of monday",
        ),
        (PEOPLE + "schedules: {s: {layers: [{start: 2026-11-23, roster: ann}]}}", "2: unknown key 'roster'"),
        (PEOPLE + f"schedules: {{s: {{layers: [{LAYER}], holidays: {{people: bob}}}}}}", "2: holidays need dates, or a file"),
        (PEOPLE + f"schedules: {{s: {{layers: [{LAYER}], holidays: {{dates: 2026-12-25}}}}}}", "2: holidays need people"),
        (
            PEOPLE + f"schedules: {{s: {{layers: [{LAYER}], overrides: [{{people: bob, start: 2026-12-02, end: 2026-12-01}}]}}}}",
            "2: the override ends before it begins",
        ),
        (PEOPLE + "schedules: {s: {layers: [{file: away.ics}]}}", "2: away.ics cannot be read: No such file or directory"),
        (PEOPLE + "policies: {p: {}}", "2: policy 'p' needs levels"),
        (PEOPLE + "policies: {p: {levels: [{acknowledge_within: 5m}]}}", "2: a level needs somebody"),
        (PEOPLE + "policies: {p: {levels: [{oncall: s}]}}", "2: there is no schedule 's' in oncall.yml; known: none"),
        (PEOPLE + "policies: {p: {levels: [{people: ann, acknowledge_within: 0s}]}}", "2: who is paged needs time to answer"),
        (PEOPLE + "policies: {p: {levels: [{people: ann}], then: q}}", "2: there is no policy 'q'; known: p"),
        (
            PEOPLE + "policies:\n  p: {levels: [{people: ann}], then: q}\n  q: {levels: [{people: ann}], then: p}",
            "3: policies hand on in a circle: p → q → p; use repeat",
        ),
        (PEOPLE + "policies: {p: {levels: [{people: ann}], match: ['a=b']}}", "2: a policy with `match` needs `tiers`"),
        (PEOPLE + "policies: {p: {levels: [{people: ann}], tiers: P7}}", "2: expected one of P0, P1, P2, P3, not 'P7'"),
        (PEOPLE + "policies: {p: {levels: [{people: ann}], repeat: 1000}}", "2: repeat is 1000: write how often"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text, told):
    with pytest.raises(ConfigError) as error:
        read(text)
    assert f"oncall.yml:{told}" in str(error.value)


def test_a_gap_within_four_weeks_is_warned_of_once_unless_it_is_meant():
    text = (
        PEOPLE + "schedules:\n  s: {zone: Europe/Berlin, layers: [{start: 2026-11-23, end: 2026-12-01, people: ann}]%s}"
    )
    [warning] = reading.warnings(read(text % ""), T0)
    assert warning == (
        "oncall.yml:3: nobody is on call in schedule 's' from 2026-12-01 09:00 CET to 2026-12-21 15:15 CET; add a layer or an "
        "override, or write may_be_empty: true"
    )
    assert reading.warnings(read(text % ", may_be_empty: true"), T0) == []
    assert (
        reading.warnings(read(text % ""), T0 - 27 * 86_400.0)[0].count("2026-10-27 15:15 CET to 2026-11-23 09:00 CET")
        == 1
    )
    hours = (
        PEOPLE + 'schedules: {s: {layers: [{start: 2026-11-23, people: ann, hours: [{from: "09:00", to: "08:00"}]}]}}'
    )
    [warning] = reading.warnings(read(hours), T0)
    assert "from 2026-11-24 08:00 UTC to 2026-11-24 09:00 UTC, and 27 more times within four weeks" in warning
