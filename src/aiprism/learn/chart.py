"""A chart of frozen series as SVG: calm, legible, readable without colour, safe to put anywhere.

In: `Chart`, values that were read when the incident was over. Out: one SVG element of a stated size, without scripts,
links or fonts of its own; every text in it is escaped. The time of the incident is shaded, the limit of the alert dashed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

WIDTH, HEIGHT = 760, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 34, 26
# Told apart also by who sees no red or green (Okabe and Ito); dashes tell them apart in print.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_DASHES = ("", "6 3", "2 2", "8 3 2 3", "4 4", "1 3")
_LEGEND = len(_COLOURS)


@dataclass(frozen=True, slots=True)
class Curve:
    """One series: Unix seconds and values in order of time."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What an alert looked at around an incident. `begun` and `ended` bound the incident; `limit` is where the alert began."""

    title: str
    expression: str
    start: float
    end: float
    begun: float
    ended: float
    curves: tuple[Curve, ...]
    limit: float | None = None
    left_out: int = 0  # series that had no room


def svg(chart: Chart) -> str:
    """The chart as one `<svg>` element."""
    curves = chart.curves[:_LEGEND]
    frame = _Frame(chart.start, chart.end, *_bounds(chart, curves))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT + 16 * len(curves)}" '
        f'width="{WIDTH}" height="{HEIGHT + 16 * len(curves)}" font-family="sans-serif" font-size="11" fill="#333">',
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT + 16 * len(curves)}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="18" font-size="13" font-weight="bold">{escape(chart.title[:100])}</text>',
        *_shade(chart, frame),
        *_grid(frame),
        *_limit(chart, frame),
        *(line for number, curve in enumerate(curves) for line in _curve(curve, number, frame)),
        "</svg>",
    ]
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class _Frame:
    start: float
    end: float
    low: float
    high: float

    def x(self, at: float) -> float:
        share = (min(max(at, self.start), self.end) - self.start) / max(self.end - self.start, 1e-9)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _bounds(chart: Chart, curves: Sequence[Curve]) -> tuple[float, float]:
    values = [value for curve in curves for _, value in curve.points if math.isfinite(value)]
    values += [chart.limit] if chart.limit is not None else []
    low, high = min([0.0, *values]), max(values, default=1.0)
    return low, high + 0.05 * (high - low) if high > low else low + 1.0


def _shade(chart: Chart, frame: _Frame) -> Iterator[str]:
    left, right = frame.x(chart.begun), frame.x(chart.ended)
    yield (
        f'<rect x="{left}" y="{_TOP}" width="{round(max(right - left, 1.0), 1)}" height="{HEIGHT - _TOP - _BOTTOM}" '
        'fill="#d55e00" fill-opacity="0.09"/>'
    )


def _grid(frame: _Frame) -> Iterator[str]:
    for value in _ticks(frame.low, frame.high):
        y = frame.y(value)
        yield f'<line x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_figure(value)}</text>'
    for number in range(5):
        at = frame.start + (frame.end - frame.start) * number / 4
        anchor = "start" if number == 0 else "end" if number == 4 else "middle"
        told = datetime.fromtimestamp(at, UTC).strftime("%H:%M" if number else "%Y-%m-%d %H:%M")
        yield f'<text x="{frame.x(at)}" y="{HEIGHT - 8}" text-anchor="{anchor}">{told}</text>'


def _ticks(low: float, high: float) -> list[float]:
    """Four or five round numbers.

    >>> _ticks(0.0, 0.43)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    rough = (high - low) / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.8)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _figure(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{value:.4g}"


def _limit(chart: Chart, frame: _Frame) -> Iterator[str]:
    if chart.limit is None:
        return
    y = frame.y(chart.limit)
    yield f'<line x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}" stroke="#a00" stroke-dasharray="5 4"/>'
    yield f'<text x="{_LEFT + 4}" y="{y - 4}" fill="#a00">limit {_figure(chart.limit)}</text>'


def _curve(curve: Curve, number: int, frame: _Frame) -> Iterator[str]:
    style = f'stroke="{_COLOURS[number]}" stroke-dasharray="{_DASHES[number]}" stroke-width="1.6"'
    for run in _runs(curve.points, (frame.end - frame.start) / 20):
        if len(run) == 1:
            at, value = run[0]
            yield f'<circle cx="{frame.x(at)}" cy="{frame.y(value)}" r="2" fill="{_COLOURS[number]}"/>'
        else:
            path = " ".join(f"{frame.x(at)},{frame.y(value)}" for at, value in run)
            yield f'<polyline points="{path}" fill="none" {style}/>'
    y = HEIGHT + 16 * number + 4
    yield f'<line x1="{_LEFT}" y1="{y}" x2="{_LEFT + 26}" y2="{y}" {style}/>'
    yield f'<text x="{_LEFT + 32}" y="{y + 4}">{escape(named(curve.labels)[:110])}</text>'


def _runs(points: Sequence[tuple[float, float]], gap: float) -> Iterator[list[tuple[float, float]]]:
    """What is drawn as one line: where values are missing it is broken."""
    run: list[tuple[float, float]] = []
    for at, value in points:
        whole = math.isfinite(value)
        if run and (not whole or at - run[-1][0] > gap):
            yield run
            run = []
        if whole:
            run.append((at, value))
    if run:
        yield run


def named(labels: Mapping[str, str]) -> str:
    """A series as it is written below a chart.

    >>> named({"__name__": "up", "job": "shop"}), named({})
    ('up job=shop', 'value')
    """
    pairs = " ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels.get('__name__', '')} {pairs}".strip() or "value"
