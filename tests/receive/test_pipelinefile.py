"""pipelines.yml: what is wrong in it is said with its line and how to mend it."""

from __future__ import annotations

import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError
from aiprism.query.lucene import condition
from aiprism.receive.pipelinefile import MOST_STEPS, read


def refused(steps: str) -> str:
    with pytest.raises(ConfigError) as error:
        read(yamlfile.parse(f"pipelines:\n{steps}", file="pipelines.yml"), condition)
    return str(error.value)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("- {drop: true}", "pipelines.yml:2: is required (at pipelines[0].name)"),
        ("- {name: a}", "pipelines.yml:2: step 'a' does nothing; give it one of drop, redact"),
        ("- {name: a, drop: true, set: {b: c}}", "step 'a' does drop and set; give it one of"),
        ("- {name: a, drop: false}", "write `drop: true`, or leave the step out"),
        ("- {name: a, match: 'x(', drop: true}", "pipelines.yml:2: query: a ( is not closed"),
        (
            "- {name: a, match: 'pattern_id:1', drop: true}",
            "'pattern_id' cannot be asked of records that are not stored yet",
        ),
        ("- {name: a, drop: true}\n- {name: a, drop: true}", "pipelines.yml:3: two steps are called 'a'"),
        ("- {name: '{}', drop: true}", "a name has up to 64 letters"),
        ("- {name: a, parse: {as: xml}}", "expected one of json, logfmt, regex, not 'xml'"),
        ("- {name: a, parse: {as: json, pattern: x}}", "`pattern` belongs to `as: regex`"),
        ("- {name: a, parse: {as: regex, pattern: x}}", "without a named group nothing would come of it"),
        ("- {name: a, parse: {as: regex, pattern: '('}}", "pipelines.yml:2: regular expression '(': "),
        ("- {name: a, redact: {with: x}}", "expected a pattern (a regular expression), or kinds of secrets"),
        ("- {name: a, redact: {kinds: [mail]}}", "'mail' is no kind of secret"),
        ("- {name: a, redact: {pattern: 'x*'}}", "this pattern matches nothing at all, too"),
        ("- {name: a, set: {level: loud}}", "'loud' is no level"),
        ("- {name: a, rename: {}}", "expected name: value, one or more"),
        ("- {name: a, matches: x, drop: true}", "unknown key 'matches' in pipelines[0]; did you mean 'match'?"),
        ("".join(f"- {{name: s{n}, drop: true}}\n" for n in range(MOST_STEPS + 1)), "201 steps are too many"),
    ],
)
def test_a_mistake_is_said_with_its_place_and_the_fix(steps: str, said: str) -> None:
    assert said in refused(steps)
