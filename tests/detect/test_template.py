"""Templates of labels and annotations: what they give, checked by promtool, and what is refused, with its place."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiprism.detect import ruletests
from aiprism.detect.annotations import AlertTemplate, Surroundings
from aiprism.detect.template import Template, TemplateError
from aiprism.errors import Unavailable
from aiprism.query.promql import PromQL
from aiprism.store.engine import Engine
from aiprism.store.scratch import Scratch

LABELS = {"job": "api", "instance": "db-1.example.com:5432", "code": "500"}
V = "{{ $value }}"

# template, value (as PromQL writes it), text
CASES = [
    # values
    (V, "0.75", "0.75"),
    (V, "100000", "100000"),
    (V, "1234567", "1.234567e+06"),
    (V, "123456789.125", "1.23456789125e+08"),
    (V, "1e21", "1e+21"),
    (V, "0.0001", "0.0001"),
    (V, "0.00001", "1e-05"),
    (V, "NaN", "NaN"),
    (V, "+Inf", "+Inf"),
    (V, "-Inf", "-Inf"),
    (V, "-2.5", "-2.5"),
    ("{{ .Value }} {{ .Labels.job }}", "1", "1 api"),
    ("{{ $labels.job }}", "1", "api"),
    ("{{ $labels.nothing }}!", "1", "!"),
    ("{{ $labels }}", "1", "map[code:500 instance:db-1.example.com:5432 job:api]"),
    ("{{ $externalLabels.region }}", "1", "eu"),
    ("{{ .ExternalLabels.region }}", "1", "eu"),
    ("{{`{{ raw }}`}}", "1", "{{ raw }}"),
    ('{{ "tab\\tand \\"quote\\" \\u00e9\\x41\\101" }}', "1", 'tab\tand "quote" éAA'),
    ("{{ 'a' }} {{ 0x10 }} {{ 1e3 }} {{ -5 }} {{ true }} {{ 010 }} {{ .5 }}", "1", "97 16 1000 -5 true 8 0.5"),
    # numbers for people
    ("{{ $value | humanize }}", "0", "0"),
    ("{{ $value | humanize }}", "1234567", "1.235M"),
    ("{{ $value | humanize }}", "999.96", "1000"),
    ("{{ $value | humanize }}", "1e30", "1e+06Y"),
    ("{{ $value | humanize }}", "0.00123", "1.23m"),
    ("{{ $value | humanize }}", "-0.0000004", "-400n"),
    ("{{ $value | humanize }}", "NaN", "NaN"),
    ("{{ $value | humanize1024 }}", "5368709120", "5Gi"),
    ("{{ $value | humanize1024 }}", "0.5", "0.5"),
    ("{{ $value | humanizeDuration }}", "0", "0s"),
    ("{{ $value | humanizeDuration }}", "59.9994", "60s"),
    ("{{ $value | humanizeDuration }}", "61", "1m 1s"),
    ("{{ $value | humanizeDuration }}", "3723.5", "1h 2m 3s"),
    ("{{ $value | humanizeDuration }}", "-200000", "-2d 7h 33m 20s"),
    ("{{ $value | humanizeDuration }}", "0.25", "250ms"),
    ("{{ $value | humanizeDuration }}", "0.0000123", "12.3us"),
    ("{{ $value | humanizeDuration }}", "+Inf", "+Inf"),
    ("{{ $value | humanizePercentage }}", "0.12345", "12.35%"),
    ("{{ $value | humanizePercentage }}", "1", "100%"),
    ("{{ $value | humanizeTimestamp }}", "1435065584.128", "2015-06-23 13:19:44.128 +0000 UTC"),
    ("{{ $value | humanizeTimestamp }}", "0", "1970-01-01 00:00:00 +0000 UTC"),
    ('{{ "0.5" | humanizePercentage }}', "1", "50%"),
    # printf
    ('{{ printf "%.2f" $value }}', "2.345", "2.35"),
    ('{{ $value | printf "%.0f of %s" 3.7 }}', "1", "4 of %!s(float64=1)"),
    ('{{ printf "%d" $value }}', "0.5", "%!d(float64=0.5)"),
    ('{{ printf "%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c|%q|%U" 42 42 42 42 42 42 42 42 42 42 42 42 }}', "1",
     "42|   42|42   |00042|+42|2a|2A|52|101010|*|'*'|U+002A"),
    ('{{ printf "%s|%10s|%-10s|%.2s|%q|%v|%x" "abc" "abc" "abc" "abc" "a\\nb" "abc" "abc" }}', "1",
     'abc|       abc|abc       |ab|"a\\nb"|abc|616263'),
    ('{{ $v := $value }}{{ printf "%g|%e|%G|%v|%6.1f|%-8.2f|%08.3f|%+.1f|% f" $v $v $v $v $v $v $v $v $v }}',
     "1234567.5",
     "1.2345675e+06|1.234568e+06|1.2345675E+06|1.2345675e+06|1234567.5|1234567.50|1234567.500|+1234567.5| 1234567.500000"),
    ('{{ printf "%.3g %.3g %.10g %g" $value 0.00001234 $value 100000.0 }}', "123456", "1.23e+05 1.23e-05 123456 100000"),
    ('{{ printf "%t %v %T %T %T" true false $value "x" 1 }}', "1", "true false float64 string int"),
    ('{{ printf "%%|%z" 1 }}', "1", "%|%!z(int=1)"),
    ('{{ printf "%s %s" "only" }}', "1", "only %!s(MISSING)"),
    ('{{ printf "%s" "a" 2 true }}', "1", "a%!(EXTRA int=2, bool=true)"),
    ('{{ printf "%*d|%.*f" 6 42 1 2.55 }}', "1", "    42|2.5"),
    ('{{ printf "%" }}', "1", "%!(NOVERB)"),
    ('{{ printf "%v %s" $labels.job $labels.nothing }}', "1", "api "),
    ('{{ printf "%d" "x" }}', "1", "%!d(string=x)"),
    ('{{ printf "%f" 1 }}', "1", "%!f(int=1)"),
    ('{{ printf "%.1f" +1e3 }}', "1", "1000.0"),
    ('{{ print 1 2 "a" "b" 3 4 }}', "1", "1 2ab3 4"),
    ('{{ println "a" 1 }}', "1", "a 1\n"),
    # text
    ("{{ $labels.job | toUpper }} {{ toLower `ABC` }}", "1", "API abc"),
    ('{{ title "disk of node is full" }}', "1", "Disk Of Node Is Full"),
    ('{{ reReplaceAll "(.*):(.*)" "port $2 of ${1}!" $labels.instance }}', "1", "port 5432 of db-1.example.com!"),
    ('{{ if match "^db-[0-9]" $labels.instance }}a database{{ end }}', "1", "a database"),
    ("{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }}", "1", "db-1.example.com db-1:5432"),
    ('{{ tableLink "up == 0" }} {{ graphLink "up == 0" }}', "1",
     "/graph?g0.expr=up+%3D%3D+0&g0.tab=1 /graph?g0.expr=up+%3D%3D+0&g0.tab=0"),
    ('{{ html "<a> & \\"b\\"" }} {{ urlquery "a b&c" }} {{ js "a\'b<" }}', "1",
     "&lt;a&gt; &amp; &#34;b&#34; a+b%26c a\\'b\\u003C"),
    ('{{ len $labels }} {{ len "abc" }} {{ index $labels "job" }} {{ slice "abcdef" 1 3 }}', "1", "3 3 api bc"),
    ('{{ parseDuration "1h30m" }}', "1", "5400"),
    # control
    ("{{ if gt $value 0.5 }}high{{ else }}low{{ end }}", "0.7", "high"),
    ("{{ if gt $value 0.5 }}high{{ else }}low{{ end }}", "0.2", "low"),
    ("{{ if $value }}yes{{ else }}no{{ end }}", "0", "no"),
    ('{{ if eq $labels.code "404" "500" }}known{{ else if $labels.job }}other{{ else }}none{{ end }}', "1", "known"),
    ('{{ if ne $labels.code "500" }}a{{ else if eq $labels.job "api" }}b{{ else }}c{{ end }}', "1", "b"),
    ('{{ if and (ge $value 1.0) (le $value 1.0) (not (lt $value 1.0)) }}one{{ end }}', "1", "one"),
    ('{{ and "" 1 }}|{{ and 1 2 }}|{{ or "" 3 }}|{{ or "" 0 }}', "1", "|2|3|0"),
    ("{{ with $labels.job }}<{{ . }}>{{ else }}none{{ end }}", "1", "<api>"),
    ("{{ with $labels.nothing }}<{{ . }}>{{ else }}none{{ end }}", "1", "none"),
    ("{{ with $x := $labels.job }}{{ $x }}{{ end }}", "1", "api"),
    ("{{ range $name, $v := $labels }}{{ $name }}={{ $v }};{{ end }}", "1", "code=500;instance=db-1.example.com:5432;job=api;"),
    ("{{ range $labels }}[{{ . }}]{{ end }}", "1", "[500][db-1.example.com:5432][api]"),
    ('{{ range $name, $v := $labels }}{{ if eq $name "instance" }}{{ continue }}{{ end }}{{ $v }} {{ end }}', "1", "500 api "),
    ('{{ range $name, $v := $labels }}{{ if eq $name "instance" }}{{ break }}{{ end }}{{ $v }} {{ end }}', "1", "500 "),
    ('{{ $x := "a" }}{{ if true }}{{ $x = "b" }}{{ $y := 1 }}{{ end }}{{ $x }}', "1", "b"),
    ('{{ $x := "a" }}{{ if true }}{{ $x := "b" }}{{ end }}{{ $x }}', "1", "a"),
    ('{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" $value }}', "2", "<2>"),
    ('{{ block "t" $labels.job }}<{{ . }}>{{ end }}', "2", "<api>"),
    ("a  {{- /* nothing */ -}}  b {{- 3 -}} c {{ $value -}} \n d", "1", "ab3c 1d"),
    ("{{- $value   -}} x", "1", "1x"),
    ("{{ (index $labels `job`) | len | printf `%03d` }}", "1", "003"),
    ("{{ $.Labels.job }}", "1", "api"),
    ("{{\n  $value\n  | humanize\n}}", "5", "5"),
    ("no action at all", "1", "no action at all"),
]  # fmt: skip

AROUND = Surroundings({"region": "eu"})


def text_of(template: str, value: str) -> str:
    return AlertTemplate.read(template).expand(LABELS, float(value), AROUND)


@pytest.mark.parametrize(("template", "value", "text"), CASES)
def test_a_template_gives_the_text_that_prometheus_gives(template: str, value: str, text: str) -> None:
    assert text_of(template, value) == text


def test_promtool_agrees_with_every_case_of_the_table(promtool: str, tmp_path: Path) -> None:
    labels = ",".join(f'{name}="{value}"' for name, value in LABELS.items())
    rules = [
        {"alert": f"case_{at}", "expr": f"m * 0 + {value}", "annotations": {"text": template}}
        for at, (template, value, _) in enumerate(CASES)
    ]
    expected = [
        {
            "alertname": f"case_{at}",
            "eval_time": "0m",
            "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": {"text": text}}],
        }
        for at, (_, _, text) in enumerate(CASES)
    ]
    series = [{"series": f"m{{{labels}}}", "values": "1"}]
    tests = [{"input_series": series, "alert_rule_test": expected, "external_labels": {"region": "eu"}}]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# What the query answers is `m` of three hosts: 3, 1 and 2.
ASKING = [
    ('{{ query "m" | len }}', "3"),
    ('{{ with query "m" | sortByLabel "host" | first }}{{ .Labels.host }}={{ .Value }}{{ end }}', "a=3"),
    (
        '{{ range query "m" | sortByLabel "host" }}{{ label "host" . }}:{{ value . | humanize }} {{ end }}',
        "a:3 b:1 c:2 ",
    ),
    ('{{ query "m{host=\\"b\\"}" | first | value }}', "1"),
    ("{{ printf `sum(m{host!=%q})` $labels.host | query | first | value }}", "3"),
    ('{{ query "label_replace(m == 2, `__value__`, `text`, ``, ``)" | first | strvalue }}', "text"),
    ('{{ query "m > 5" | len }}', "0"),
    ('{{ query "m > 5" | first }}', "<error expanding template: first: first() called on vector with no elements>"),
    ('{{ define "t" }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template "t" (args 1 "b") }}', "1-b"),
]


def test_templates_may_ask_as_in_prometheus(promtool: str, engine: Engine, tmp_path: Path) -> None:
    rules, expected = [], []
    for at, (template, text) in enumerate(ASKING):
        if not text.startswith("<error"):  # whose words are Go's
            rules.append({"alert": f"case_{at}", "expr": 'm{host="a"}', "annotations": {"text": template}})
            alert = {"exp_labels": {"host": "a"}, "exp_annotations": {"text": text}}
            expected.append({"alertname": f"case_{at}", "eval_time": "0m", "exp_alerts": [alert]})
    series = [
        {"series": f'm{{host="{host}"}}', "values": value} for host, value in (("b", "1"), ("c", "2"), ("a", "3"))
    ]
    tests = [{"input_series": series, "alert_rule_test": expected, "external_url": "http://here/prom"}]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    store, read = Scratch(engine), ruletests.read(tmp_path / "tests.yml")
    [case] = read.cases
    assert ruletests.failures(read, case, store, lambda: PromQL(store.samples)) == []


def test_templates_know_where_and_when_they_are() -> None:
    around = Surroundings(external_url="http://here/prom/")
    assert AlertTemplate.read("{{ externalURL }} {{ pathPrefix }} {{ now }}").expand({}, 1.0, around, 5.0) == (
        "http://here/prom/ /prom 5"
    )


def test_a_query_that_fails_is_said_in_the_text() -> None:
    def away(text: str, at: float) -> list[tuple[dict[str, str], float]]:
        raise Unavailable("the store is away", retry_after=1)

    with pytest.raises(TemplateError, match="query: the store is away"):
        AlertTemplate.read('{{ query "up" }}').expand({}, 1.0, Surroundings(ask=away))
    with pytest.raises(TemplateError, match="nobody answers queries here"):
        AlertTemplate.read('{{ query "up" }}').expand({}, 1.0)
    assert [AlertTemplate.read(text).asks for text in ('{{ query "up" }}', "{{ $value }} queries")] == [True, False]


# template, message
REFUSED = [
    ("{{ $value | humanise }}", "unknown function 'humanise'; did you mean 'humanize'? (column 13 of the template)"),
    ("{{ nonsense }}", "unknown function 'nonsense' (column 4 of the template)"),
    ('{{ tmpl "up" 1 }}', "the function 'tmpl' cannot be used here (column 4 of the template)"),
    ("{{ $labls.job }}", "unknown variable $labls; did you mean '$labels'? (column 4 of the template)"),
    ("{{ $x := 1 }}{{ if $x }}{{ $y := 2 }}{{ end }}{{ $y }}",
     "unknown variable $y (column 50 of the template)"),
    ("{{ $x = 1 }}", "unknown variable $x (column 4 of the template)"),
    ("a {{ $value", "the action is not closed; }} is missing (column 12 of the template)"),
    ("{{ $value }", "unexpected character '}' in an action (column 11 of the template)"),
    ("{{ $labels-job }}", "unexpected character '-' in an action (column 11 of the template)"),
    ('{{ $labels.job"x" }}', "unexpected '\"x\"' right after '$labels'; a space is missing (column 15 of the template)"),
    ('{{ "open }}', "the quote \" is not closed (column 4 of the template)"),
    ("{{ {{ }}", "{{ inside of an action; }} is missing before (column 4 of the template)"),
    ("{{ /* open }}", "unexpected character '/' in an action (column 4 of the template)"),
    ("{{/* a */ b }}", "a comment must end with */}} (column 1 of the template)"),
    ("{{ }}", "a value is missing (column 4 of the template)"),
    ("{{ $value | }}", "a value is missing (column 13 of the template)"),
    ("{{ $value | 3 }}", "what stands after | must be a function (column 11 of the template)"),
    ("{{ (len $labels }}", ") is missing (column 17 of the template)"),
    ("{{ len $labels) }}", "unexpected ')'; no ( is open (column 15 of the template)"),
    ("{{ if $value }}x", "{{if}} has no {{end}} (column 4 of the template)"),
    ("{{ if $value }}x{{ else }}y{{ else }}z{{ end }}", "a second {{else}} in one {{if}} (column 31 of the template)"),
    ("x{{ end }}", "unexpected {{end}}; nothing is open here (column 5 of the template)"),
    ("{{ if $value }}{{ end x }}", "unexpected 'x' after 'end' (column 23 of the template)"),
    ("{{ break }}", "{{break}} outside of {{range}} (column 4 of the template)"),
    ('{{ template "x" }}', "template 'x' is not defined (column 4 of the template)"),
    ("{{ template x }}", '{{template}} needs a name in quotes, as in {{template "x"}} (column 13 of the template)'),
    ("{{ $a, $b := $labels }}", "two variables are for {{range}} only (column 6 of the template)"),
    ('{{ "\\d" }}', "'\\\\d' is no escape of a quoted text; write it in `backquotes` (column 4 of the template)"),
    ("{{ 'ab' }}", "'ab' is not one character; write text in double quotes (column 4 of the template)"),
    ("{{ 5m }}", "unexpected 'm' right after '5'; a space is missing (column 5 of the template)"),
    ("{{ 5.a }}", "unexpected 'a' right after '5.'; a space is missing (column 6 of the template)"),
    ("{{ .. }}", "unexpected '.' right after '.'; a space is missing (column 5 of the template)"),
    ("one\ntwo {{ nonsense }}", "unknown function 'nonsense' (line 2, column 8 of the template)"),
    ("{{ " + "(" * 5000 + " }}", "the template is nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_done_is_refused_when_it_is_read(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as refused:
        AlertTemplate.read(template)
    assert str(refused.value) == message


# Refused by us as soon as they are read: a function we do not have, and what Go notices only when an alert is there.
OURS_ALONE = ["{{ $x = 1 }}", "{{ $value | }}", '{{ template "x" }}']


def test_promtool_refuses_what_we_refuse(promtool: str, tmp_path: Path) -> None:
    accepted = []
    for template, _ in REFUSED:
        rule = {"alert": "a", "expr": "up", "annotations": {"text": template}}
        (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
        done = subprocess.run([promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True)
        if done.returncode == 0:
            accepted.append(template)
    assert sorted(accepted) == sorted(OURS_ALONE)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ $labels.job | humanize }}", "humanize: 'api' is no number"),
        ("{{ toUpper $value }}", "toUpper: expected a string, not a float64"),
        ("{{ if gt $value 1 }}{{ end }}", "gt: cannot compare a float64 with a int"),
        ("{{ .Nothing }}", "there is no field 'Nothing' here; known are ExternalLabels, ExternalURL, Labels, Value"),
        ("{{ $value.x }}", "a float64 has no field 'x'"),
        ("{{ humanize }}", "humanize does not take 0 arguments"),
        ("{{ $value 3 }}", "$value is no function and takes no arguments"),
        ("{{ $value | $labels }}", "$labels is no function and takes no arguments"),
        ("{{ range $value }}{{ end }}", "cannot range over a float64"),
        ("{{ index $labels.job 9 }}", "index: cannot index a string"),
        ('{{ reReplaceAll "(" "" "x" }}', "reReplaceAll: regular expression '(?-s:()': missing ): (?-s:()"),
        ('{{ printf "%[1]d" 3 }}', "printf: printf: argument indexes such as %[1]d are not supported; give the argument again"),
        ("{{ parseDuration `x` }}", "parseDuration: not a duration: 'x'; write for example 30s, 5m, 1h30m"),
        ('{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}', "template 't' calls itself more than 100 times"),
        ("{{ 1e300 | humanizeTimestamp }}", "humanizeTimestamp: 1e+300 cannot be shown as a time"),
    ],
)  # fmt: skip
def test_a_step_that_fails_on_these_values_is_an_error_and_never_a_wrong_text(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as failed:
        text_of(template, "0.5")
    assert str(failed.value) == message


def test_templates_with_the_same_text_are_the_same() -> None:
    assert AlertTemplate.read("{{ $value }}") == AlertTemplate.read("{{ $value }}")
    assert AlertTemplate.read("{{ $value }}") != AlertTemplate.read("{{$value}}")


SNIPPETS = ["{{", "}}", "{{-", "-}}", " ", "$", "$labels", ".job", ".", "|", "(", ")", '"', "`", "'", "\\", ":=", "=", ",",
            "if", "else", "end", "range", "with", "define", "template", "block", "break", "humanize", "printf", "eq",
            "$value", "1", "0x", "-", "\n", "/*", "*/", "é", "nil", "true", "text", '"%d"']  # fmt: skip


@given(st.lists(st.sampled_from(SNIPPETS), max_size=25).map("".join))
def test_whatever_is_written_is_either_refused_or_expanded(text: str) -> None:
    with suppress(TemplateError):
        AlertTemplate.read(text).expand(LABELS, 0.5)


@given(st.text(alphabet=st.characters(exclude_characters="{")))
def test_text_without_actions_stays_as_it_is(text: str) -> None:
    assert Template.read(text).expand(None) == text
