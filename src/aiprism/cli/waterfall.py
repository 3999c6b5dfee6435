"""A trace drawn as a waterfall: who called whom, when, how long, and what failed.

In: a trace as `/aiprism/v1/traces/{id}` gives it, and a width. Out: lines of text. Spans whose parent is not there (not
stored, or not sent yet) stand at the left like roots, so that nothing of a broken trace is hidden.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from aiprism.cli.printing import STYLES, duration, moment

PLAIN_WIDTH = 160
_COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green", "bright_magenta")
_LEAST_BAR = 20
_LONGEST_LABEL = 72


@dataclass(frozen=True, slots=True)
class _Line:
    """One span and where it stands: its depth below the root."""

    span: Mapping[str, Any]
    depth: int

    @property
    def label(self) -> str:
        mark = "✗ " if self.failed else ""
        return f"{'  ' * self.depth}{mark}{self.span['name']}"

    @property
    def failed(self) -> bool:
        return bool(self.span["status"] == "error")


def drawn(trace: Mapping[str, Any], width: int) -> list[Text]:
    """Head, one line a span in the order of calls, and the log records."""
    spans = trace["spans"]
    first = min(span["start_ns"] for span in spans)
    last = max(span["start_ns"] + span["duration_ns"] for span in spans)
    lines = list(_ordered(spans))
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(_services(lines))}
    head = _head(trace["trace_id"], lines, colours, first, last)
    return [*head, *_bars(lines, colours, first, last, width), *_logs(trace.get("logs", ()), first)]


def _services(lines: Sequence[_Line]) -> list[str]:
    return list(dict.fromkeys(line.span["service"] for line in lines))


def _ordered(spans: Sequence[Mapping[str, Any]]) -> Iterator[_Line]:
    """Depth first, children by their start; a span that would be its own ancestor stands at the left."""
    known = {span["span_id"] for span in spans}
    children: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span["start_ns"]):
        parent = span["parent_span_id"]
        children[parent if parent in known and parent != span["span_id"] else ""].append(span)
    drawn_ids: set[str] = set()
    left = [_Line(span, 0) for span in reversed(children[""])]
    for start in (left, [_Line(span, 0) for span in reversed(spans)]):
        while start:
            line = start.pop()
            if line.span["span_id"] in drawn_ids:
                continue
            drawn_ids.add(line.span["span_id"])
            yield line
            start += [_Line(child, line.depth + 1) for child in reversed(children[line.span["span_id"]])]


def _head(trace_id: str, lines: Sequence[_Line], colours: Mapping[str, str], first: int, last: int) -> Iterator[Text]:
    root, errors = lines[0].span, sum(line.failed for line in lines)
    yield Text.assemble(("trace ", "dim"), (trace_id, "bold"))
    told = [
        f"{root['service']} {root['name']}",
        moment(first / 1e9),
        duration((last - first) / 1e9),
        _counted(len(lines), "span"),
        _counted(len(colours), "service"),
    ]
    text = Text("  ".join(told))
    if errors:
        text.append(f"  {_counted(errors, 'error')}", style="bold red")
    yield text
    yield Text("")


def _bars(lines: Sequence[_Line], colours: Mapping[str, str], first: int, last: int, width: int) -> Iterator[Text]:
    service_width = max(len(name) for name in colours)
    label_width = min(max(len(line.label) for line in lines), _LONGEST_LABEL, max(20, width // 3))
    times = [duration(line.span["duration_ns"] / 1e9) for line in lines]
    time_width = max(map(len, times))
    room = max(_LEAST_BAR, width - service_width - label_width - time_width - 6)
    scale = room / max(1, last - first)
    for line, time in zip(lines, times, strict=True):
        span, colour = line.span, colours[line.span["service"]]
        begin = min(room - 1, int((span["start_ns"] - first) * scale))
        length = max(1, min(room - begin, round(span["duration_ns"] * scale)))
        label = line.label if len(line.label) <= label_width else f"{line.label[: label_width - 1]}…"
        yield Text.assemble(
            (f"{span['service']:<{service_width}}  ", colour),
            (f"{label:<{label_width}}  ", "bold red" if line.failed else ""),
            (f"{time:>{time_width}}  ", "dim"),
            " " * begin,
            ("━" * length, "red" if line.failed else colour),
        )
        if line.failed and span["status_message"]:
            yield Text(
                f"{'':<{service_width}}  {'  ' * line.depth}  {_first_line(span['status_message'])}", style="red"
            )


def _logs(records: Sequence[Mapping[str, Any]], first: int) -> Iterator[Text]:
    if records:
        yield Text("\nlogs", style="bold")
    for record in records:
        yield Text.assemble(
            (f"{'+' + duration(max(0, record['ts_ns'] - first) / 1e9):>12}  ", "dim"),
            (f"{record['level'] or '-':<5} ", STYLES.get(record["level"], "")),
            (f"{record['service']}  ", "cyan"),
            record["body"],
        )


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
