"""The rules that come with aiprism, and the example of the documentation, do what is said of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from aiprism import yamlfile
from aiprism.detect import rules
from aiprism.detect.evaluation import Setting, evaluate
from aiprism.detect.rules import AlertingRule
from aiprism.model.alerts import AlertState, Priority
from aiprism.query.promql.parse import parse
from aiprism.query.promql.values import Vector
from tests.detect.ruling import item

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "rules" / "ai-prism.yml"
DEMO = ROOT / "src" / "aiprism_lab" / "demo" / "rules"


def example() -> str:
    """The rule file in docs/rules.md."""
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    [block] = re.findall(r"test_shipped_rules.py runs this block -->\n```yaml\n(groups:.*?)```", page, re.DOTALL)
    return str(block)


def test_the_alerts_of_the_plan_are_shipped_with_the_tier_their_severity_means() -> None:
    alerts = {
        rule.name: rule.plain_labels["severity"]
        for group in rules.load([SHIPPED])
        for rule in group.rules
        if isinstance(rule, AlertingRule)
    }
    assert alerts == {
        "ServiceDown": "critical",
        "HighErrorRate": "critical",
        "HighErrorRateAbsolute": "info",
        "DatabaseConnectionFailure": "critical",
        "HighLatency": "warning",
        "AIModelPerformanceDegraded": "warning",
        "UserSatisfactionDrop": "warning",
        "DocumentProcessingBacklog": "warning",
    }


def test_each_shipped_alert_fires_when_it_should_and_not_before(promtool: str, tmp_path: Path) -> None:
    cases = (Path(__file__).parent / "ai_prism_rules_test.yml").read_text(encoding="utf-8")
    (tmp_path / "tests.yml").write_text(cases.replace("{rules}", str(SHIPPED)))
    done = subprocess.run([promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_of_the_demonstration_fire_when_they_should_and_not_before(promtool: str, tmp_path: Path) -> None:
    cases = (Path(__file__).parent / "demo_rules_test.yml").read_text(encoding="utf-8")
    (tmp_path / "tests.yml").write_text(cases.replace("{rules}", str(DEMO / "*.yml")))
    done = subprocess.run([promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_shipped_alert_has_a_page_whose_queries_can_be_asked_and_a_unit_test() -> None:
    alerts = [rule for group in rules.load([SHIPPED]) for rule in group.rules if isinstance(rule, AlertingRule)]
    tests = (Path(__file__).parent / "ai_prism_rules_test.yml").read_text(encoding="utf-8")
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for alert in alerts:
        url = next(text.text for name, text in alert.annotations if name == "runbook_url")
        page = ROOT / "docs" / "runbooks" / f"{url.rpartition('/')[2]}.md"
        told = page.read_text(encoding="utf-8")
        assert told.startswith(f"# {alert.name}\n")
        queries = re.findall(r"```promql\n(.*?)\n```", told, re.DOTALL)
        assert queries
        for query in queries:
            parse(query)
        assert f"{alert.name}: runbooks/{page.name}" in contents
        assert re.search(rf"alertname: {alert.name}\n    eval_time: \w+\n    exp_alerts:", tests), alert.name
    others = {"database-primary-down.md"}  # of the lab's own rules
    assert len({page.name for page in (ROOT / "docs" / "runbooks").glob("*.md")} - others) == len(alerts)


def test_promtool_accepts_the_shipped_rules_and_the_example(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "example.yml").write_text(example())
    done = subprocess.run(
        [promtool, "check", "rules", "example.yml", str(SHIPPED)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_does_what_the_page_says() -> None:
    [group] = rules.read(yamlfile.parse(example(), file="rules.yml"))
    ratio, alert = group.rules
    assert (group.interval, alert.reads) == (15.0, ratio.writes)
    vector = Vector((item({"__name__": "job:request_errors:ratio", "job": "checkout"}, 0.25),))
    first = evaluate(alert, vector, {}, Setting(now=1000.0))
    [kept] = first.states.values()
    assert kept.alert.state is AlertState.PENDING
    [kept] = evaluate(alert, vector, first.states, Setting(now=1060.0)).states.values()
    assert (kept.alert.state, kept.alert.priority) == (AlertState.FIRING, Priority.P2)
    assert (kept.alert.labels["severity"], kept.alert.labels["service"]) == ("warning", "checkout")
    assert kept.alert.annotations["summary"] == "Checkout fails 25% of its requests"
