"""A trace drawn as a waterfall: who called whom, when, how long, what of it decided how long it took, and what failed.

In: a trace as `/aiprism/v1/traces/{id}` gives it, and a width. Out: lines of text. The bar of a span is heavy where it is part of
the critical path and light elsewhere. Spans whose parent is not there stand at the left with a `?`, so that nothing of a broken
trace is hidden.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from aiprism.cli.printing import STYLES, duration, moment, share

PLAIN_WIDTH = 160
_COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green", "bright_magenta")
_LEAST_BAR = 20
_LONGEST_LABEL = 72
_MOST_CRITICAL = 3  # of which the head tells


@dataclass(frozen=True, slots=True)
class _Line:
    """One span, and what was understood of it."""

    span: Mapping[str, Any]
    node: Mapping[str, Any]
    critical: tuple[tuple[int, int], ...]

    @property
    def label(self) -> str:
        marks = ("✗ " if self.failed else "") + ("? " if self.node["is_orphan"] else "")
        marks += "↻ " if self.node["in_cycle"] else ""
        return f"{'  ' * self.node['depth']}{marks}{self.span['name']}"

    @property
    def failed(self) -> bool:
        return bool(self.span["status"] == "error")


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a moment lies on a bar of so many characters."""

    first: int
    last: int
    room: int

    def cells(self, begin: int, end: int) -> range:
        """The characters that stand for a time; none for less than half of one."""
        return range(self._place(begin), self._place(end))

    def bar(self, begin: int, end: int) -> range:
        """The same, at least one."""
        first = min(self.room - 1, self._place(begin))
        return range(first, max(first + 1, self._place(end)))

    def _place(self, at: int) -> int:
        return round((at - self.first) * self.room / max(1, self.last - self.first))


def drawn(trace: Mapping[str, Any], width: int) -> list[Text]:
    """Head, one line a span in the order of calls, and the log records."""
    lines = list(_lines(trace))
    first = min(line.span["start_ns"] for line in lines)
    last = max(line.span["start_ns"] + line.span["duration_ns"] for line in lines)
    services = dict.fromkeys(line.span["service"] for line in lines)
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(services)}
    return [
        *_head(trace, lines, len(services), last - first),
        *_bars(lines, colours, first, last, width),
        *_logs(trace.get("logs", ()), first),
    ]


def _lines(trace: Mapping[str, Any]) -> Iterator[_Line]:
    critical: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for section in trace["analysis"]["critical_path"]:
        critical[section["span_id"]].append((section["start_ns"], section["end_ns"]))
    for node in trace["analysis"]["nodes"]:
        # Two sides of a call that share an id share its sections; the one that has none of the time draws none.
        sections = tuple(critical[node["span_id"]]) if node["critical_ns"] else ()
        yield _Line(trace["spans"][node["at"]], node, sections)


def _head(trace: Mapping[str, Any], lines: Sequence[_Line], services: int, took_ns: int) -> Iterator[Text]:
    root, errors = lines[0].span, sum(line.failed for line in lines)
    yield Text.assemble(("trace ", "dim"), (trace["trace_id"], "bold"))
    told = [
        f"{root['service']} {root['name']}",
        moment(root["start_ns"] / 1e9),
        duration(took_ns / 1e9),
        _counted(len(lines), "span"),
        _counted(services, "service"),
    ]
    text = Text("  ".join(told))
    if errors:
        text.append(f"  {_counted(errors, 'error')}", style="bold red")
    yield text
    yield from _critical(lines)
    yield from _failures(trace["analysis"]["failures"], lines)
    yield Text("")


def _critical(lines: Sequence[_Line]) -> Iterator[Text]:
    """Where the time went: of the critical path, the operations that have most of it."""
    spent: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        spent[line.span["service"], line.span["name"]] += line.node["critical_ns"]
    whole = sum(spent.values())
    if not whole or len(lines) == 1:
        return
    most = sorted(spent.items(), key=lambda item: -item[1])[:_MOST_CRITICAL]
    text = Text("critical path  ", style="dim")
    for number, ((service, name), ns) in enumerate(item for item in most if item[1]):
        text.append(", " if number else "", style="not dim")
        text.append(f"{service} {name} {duration(ns / 1e9)} ({share(ns / whole)})", style="not dim")
    yield text


def _failures(failures: Sequence[Mapping[str, Any]], lines: Sequence[_Line]) -> Iterator[Text]:
    """Where errors began, and the last span they reached."""
    spans = {line.span["span_id"]: line.span for line in lines}
    alike: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for failure in failures:
        top = spans[failure["path"][-1]]
        reached = "" if len(failure["path"]) == 1 else f"{top['service']} {top['name']}"
        why = failure["exception"] or _first_line(failure["message"])
        alike[failure["service"], failure["name"], reached, why] += 1
    for (service, name, reached, why), count in alike.items():
        text = Text("error began in ", style="dim")
        text.append(f"{service} {name}", style="not dim red")
        text.append(f" ×{count}" if count > 1 else "", style="not dim red")
        text.append(f"  {why}" if why else "", style="not dim")
        if reached:
            text.append("  and reached ")
            text.append(reached, style="not dim red")
        yield text


def _bars(lines: Sequence[_Line], colours: Mapping[str, str], first: int, last: int, width: int) -> Iterator[Text]:
    service_width = min(max(len(name) for name in colours), max(10, width // 6))
    label_width = min(max(len(line.label) for line in lines), _LONGEST_LABEL, max(20, width // 3))
    times = [duration(line.span["duration_ns"] / 1e9) for line in lines]
    time_width = max(map(len, times))
    scale = _Scale(first, last, max(_LEAST_BAR, width - service_width - label_width - time_width - 6))
    for line, time in zip(lines, times, strict=True):
        colour = colours[line.span["service"]]
        yield Text.assemble(
            (f"{_fitted(line.span['service'], service_width)}  ", colour),
            (f"{_fitted(line.label, label_width)}  ", "bold red" if line.failed else ""),
            (f"{time:>{time_width}}  ", "dim"),
            *_bar(line, scale, "red" if line.failed else colour),
        )
        below = f"{'':<{service_width}}  {'  ' * line.node['depth']}  "
        if line.failed and line.span["status_message"]:
            yield Text(f"{below}{_first_line(line.span['status_message'])}", style="red")
        if line.node["skew_ns"]:
            ahead = line.node["skew_ns"] / 1e9
            told = f"{duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} its caller's"
            yield Text(f"{below}its clock is {told}", style="yellow")


def _bar(line: _Line, scale: _Scale, style: str) -> Iterator[tuple[str, str] | str]:
    begin = line.span["start_ns"]
    cells = scale.bar(begin, begin + line.span["duration_ns"])
    heavy = {cell for start, end in line.critical for cell in scale.cells(start, end)}
    if len(cells) == 1 and line.critical:
        heavy = {*cells}
    yield " " * cells.start
    yield "".join("━" if cell in heavy else "─" for cell in cells), style


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


def _fitted(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"{text[: width - 1]}…"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
