"""The document of a postmortem: nothing in it is obeyed, and its charts are legible."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aiprism.learn.chart import Chart, Curve, svg
from aiprism.learn.evidence import looked_at
from aiprism.learn.postmortem import html, plain

CHART = Chart(
    "Errors <b>", "errors > 5", 0.0, 4000.0, 1000.0, 2000.0,
    (
        Curve({"job": "a<b"}, tuple((float(at), at % 7.0) for at in range(0, 4000, 60))),
        Curve({}, ((100.0, 1.0), (200.0, 2.0), (3000.0, 3.0))),
    ),
    limit=5.0,
)  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def test_a_page_shows_html_and_loads_nothing():
    page = html("# A\n\n<script>x</script> ![b](http://there/x.png) [c](javascript:x)", [], "<t>")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<img" not in page
    assert 'href="javascript' not in page
    assert "<title>&lt;t&gt;</title>" in page


def test_charts_stand_in_the_page_where_the_text_has_them():
    page = html("![one](charts/1.svg) ![none](charts/2.svg)", [CHART], "t")
    assert page.count("<svg") == 1
    assert "none" in page


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp", "Zs"]), min_size=1))
def test_a_text_means_nothing_but_itself(text):
    from html import unescape

    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(f"x {plain(text)} y")
    assert unescape(page).strip() == f"<p>x {text} y</p>"


def test_a_chart_shades_the_incident_marks_the_limit_and_breaks_where_values_are_missing():
    root = ET.fromstring(svg(CHART))
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"Errors <b>", "limit 5", "job=a<b", "value"} <= set(texts)
    assert len(root.findall(f"{SVG}polyline")) == 2
    assert len(root.findall(f"{SVG}circle")) == 1  # one value alone
    shade = [each for each in root.findall(f"{SVG}rect") if each.get("fill-opacity")]
    assert [(each.get("x"), each.get("width")) for each in shade] == [("235.0", "171.0")]


@pytest.mark.parametrize(
    "points", [(), ((1.0, 0.0),), ((1.0, -5.0), (2.0, -5.0)), ((1.0, 1e300), (2.0, -1e300)), ((5.0, 1e-9),)]
)
def test_a_chart_of_whatever_values_is_a_chart(points):
    root = ET.fromstring(svg(Chart("t", "e", 0.0, 10.0, 2.0, 3.0, (Curve({}, points),))))
    assert "nan" not in ET.tostring(root, encoding="unicode").lower().replace("finance", "")


@pytest.mark.parametrize(
    ("asked", "curve", "limit"),
    [
        ("(sum(rate(x[5m])) >= 0.5)", "sum(rate(x[5m]))", 0.5),
        ("x == 0", "x", 0.0),
        ("x > y", "x > y", None),
        ("absent(x)", "absent(x)", None),
    ],
)
def test_of_a_rule_what_is_compared_is_drawn_and_the_limit_beside_it(asked, curve, limit):
    assert looked_at(asked) == (curve, limit)
