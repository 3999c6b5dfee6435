"""`aiprism query`: a PromQL question to a running server, answered as a table or, over a range, as small graphs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote
from aiprism.errors import BadInput
from aiprism.model.timerange import duration_seconds

_STEPS = 60
_GRAPH_WIDTH = 40


def run(wanted: argparse.Namespace) -> int:
    """Ask, and print the answer."""
    remote, now = Remote(wanted.server), printing.present()
    over_range = wanted.start is not None
    if not over_range and (wanted.end is not None or wanted.step is not None):
        raise BadInput("--end and --step belong to a range: add --start")
    if over_range and wanted.at is not None:
        raise BadInput("--at asks at one time, --start over a range: give one of them")
    if wanted.explain or wanted.plan:
        return _explain(remote, wanted, now)
    answer = _range(remote, wanted, now) if over_range else _instant(remote, wanted, now)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    for warning in answer.get("warnings", ()):
        printing.show(Text(f"warning: {warning}", style="yellow"))
    _show(answer["data"]["resultType"], answer["data"]["result"])
    return 0


def _instant(remote: Remote, wanted: argparse.Namespace, now: float) -> Any:
    return remote.get("/api/v1/query", query=wanted.expression, time=f"{printing.moment_in(wanted.at, now):.3f}")


def _explain(remote: Remote, wanted: argparse.Namespace, now: float) -> int:
    times = {"time": f"{printing.moment_in(wanted.at, now):.3f}"} if wanted.start is None else _times(wanted, now)
    answer = remote.get(
        "/aiprism/v1/explain", query=wanted.expression, analyze="false" if wanted.plan else "true", **times
    )
    if wanted.output == "json":
        printing.show_json(answer)
    else:
        printing.show(Text(answer["text"]))
    return 0


def _range(remote: Remote, wanted: argparse.Namespace, now: float) -> Any:
    return remote.get("/api/v1/query_range", query=wanted.expression, **_times(wanted, now))


def _times(wanted: argparse.Namespace, now: float) -> dict[str, str]:
    start, end = printing.moment_in(wanted.start, now), printing.moment_in(wanted.end, now)
    if start >= end:
        raise BadInput(f"the range is empty: --start {wanted.start} is not before --end {wanted.end or 'now'}")
    step = duration_seconds(wanted.step) if wanted.step else max(1.0, round((end - start) / _STEPS))
    if step <= 0:
        raise BadInput("--step must be longer than nothing")
    return {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}


def _show(kind: str, result: Any) -> None:
    if kind in ("scalar", "string"):
        printing.show(_number(result[1]) if kind == "scalar" else str(result[1]))
    elif not result:
        printing.show(Text("nothing matches at that time", style="dim"))
    elif kind == "vector":
        _show_vector(result)
    else:
        _show_matrix(result)


def _show_vector(result: Sequence[Mapping[str, Any]]) -> None:
    rows = printing.table("series", "value", right=("value",), fold="series")
    for item in result:
        rows.add_row(series(item["metric"]), _value(item))
    printing.show(rows)


def _show_matrix(result: Sequence[Mapping[str, Any]]) -> None:
    numbers = ("least", "mean", "most", "last")
    rows = printing.table("series", "course", *numbers, right=numbers, fold="series")
    for item in result:
        if "values" not in item:
            rows.add_row(series(item["metric"]), f"{len(item['histograms'])} histograms", "", "", "", "")
            continue
        values = [float(value) for _, value in item["values"]]
        mean = sum(values) / len(values)
        told = (printing.figures(value, 4) for value in (min(values), mean, max(values), values[-1]))
        rows.add_row(series(item["metric"]), printing.sparkline(_thinned(values)), *told)
    printing.show(rows)


def _value(item: Mapping[str, Any]) -> str:
    if "histogram" not in item:
        return _number(item["value"][1])
    told = item["histogram"][1]
    return f"histogram of {_number(told['count'])}, sum {_number(told['sum'])}"


def series(labels: Mapping[str, str]) -> Text:
    """Name and labels as PromQL writes them; escaped so that they can be pasted back."""
    name = labels.get("__name__", "")
    pairs = ", ".join(f"{key}={_quoted(value)}" for key, value in sorted(labels.items()) if key != "__name__")
    text = Text(name, style="bold")
    if pairs or not name:
        text.append(f"{{{pairs}}}", style="not bold")
    return text


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _number(text: str) -> str:
    return printing.figures(float(text), 6)


def _thinned(values: Sequence[float]) -> Sequence[float]:
    """At most a graph's width of them, each the largest of its share: a peak stays visible."""
    if len(values) <= _GRAPH_WIDTH:
        return values
    size = len(values) / _GRAPH_WIDTH
    return [max(values[int(at * size) : max(int((at + 1) * size), int(at * size) + 1)]) for at in range(_GRAPH_WIDTH)]
