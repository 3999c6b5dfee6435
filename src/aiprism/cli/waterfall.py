"""A trace drawn as a waterfall: who called whom, when, how long, what of it decided how long it took, and what failed.

In: a trace as `/aiprism/v1/traces/{id}` gives it, and a width. Out: lines of text. A service is named where a call enters it. The
bar of a span is heavy where it is part of the critical path and light elsewhere. Spans whose parent is not there stand at the left
with a `?`, so that nothing of a broken trace is hidden.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from aiprism.cli.printing import STYLES, duration, figures, moment, share

PLAIN_WIDTH = 160
_COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green", "bright_magenta")
_LEAST_BAR = 20
_LONGEST_LABEL, _LEAST_LABEL = 72, 24
_ROOMY = 120  # from this width on each call is indented by two
_MOST_CRITICAL = 3  # of which the head tells
_MOST_METRICS = 3


@dataclass(frozen=True, slots=True)
class _Line:
    """One span, and what was understood of it; `entered` is its service where that is not its parent's."""

    span: Mapping[str, Any]
    node: Mapping[str, Any]
    critical: tuple[tuple[int, int], ...]
    entered: str

    @property
    def name(self) -> str:
        marks = ("✗ " if self.failed else "") + ("? " if self.node["is_orphan"] else "")
        marks += "↻ " if self.node["in_cycle"] else ""
        return f"{marks}{_in_one_line(self.span['name'])}"

    @property
    def length(self) -> int:
        """Of its service and name, without what it is indented by."""
        return len(self.entered) + bool(self.entered) + len(self.name)

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
    """Head, one line a span in the order of calls, the metrics that were measured in it, and the log records."""
    lines = list(_lines(trace))
    first = min(line.span["start_ns"] for line in lines)
    last = max(line.span["start_ns"] + line.span["duration_ns"] for line in lines)
    services = dict.fromkeys(line.span["service"] for line in lines)
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(services)}
    return [
        *_head(trace, lines, len(services), last - first, width),
        *_bars(lines, colours, first, last, width),
        *_measured(trace.get("exemplars", ())),
        *_logs(trace.get("logs", ()), first),
    ]


def _lines(trace: Mapping[str, Any]) -> Iterator[_Line]:
    critical: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for section in trace["analysis"]["critical_path"]:
        critical[section["span_id"]].append((section["start_ns"], section["end_ns"]))
    nodes, spans = trace["analysis"]["nodes"], trace["spans"]
    for node in nodes:
        # Two sides of a call that share an id share its sections; the one that has none of the time draws none.
        sections = tuple(critical[node["span_id"]]) if node["critical_ns"] else ()
        span = spans[node["at"]]
        caller = "" if node["parent"] is None else spans[nodes[node["parent"]]["at"]]["service"]
        yield _Line(span, node, sections, _in_one_line(span["service"]) if span["service"] != caller else "")


def _head(trace: Mapping[str, Any], lines: Sequence[_Line], services: int, took_ns: int, width: int) -> Iterator[Text]:
    root, errors = lines[trace["analysis"].get("root") or 0].span, sum(line.failed for line in lines)
    yield Text.assemble(("trace ", "dim"), (trace["trace_id"], "bold"))
    named = f"{root['service']} {root['name']}"
    told = [moment(root["start_ns"] / 1e9), duration(took_ns / 1e9), _counted(len(lines), "span")]
    counts = Text("  ".join([*told, _counted(services, "service")]))
    if errors:
        counts.append(f"  {_counted(errors, 'error')}", style="bold red")
    yield from [Text(f"{named}  ") + counts] if len(named) + 2 + len(counts) <= width else [Text(named), counts]
    yield from _critical(lines, width)
    yield from _failures(trace["analysis"]["failures"], lines)
    yield Text("")


def _critical(lines: Sequence[_Line], width: int) -> Iterator[Text]:
    """Where the time went: of the critical path, the operations that have most of it; below each other where they need to be."""
    spent: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        spent[line.span["service"], line.span["name"]] += line.node["critical_ns"]
    whole = sum(spent.values())
    if not whole or len(lines) == 1:
        return
    most = sorted(spent.items(), key=lambda item: -item[1])[:_MOST_CRITICAL]
    told = [f"{service} {name} {duration(ns / 1e9)} ({share(ns / whole)})" for (service, name), ns in most if ns]
    head = "critical path  "
    in_one_line = ", ".join(told)
    for number, each in enumerate([in_one_line] if len(head) + len(in_one_line) <= width else told):
        yield Text.assemble((head if not number else " " * len(head), "dim"), each)


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
    step = 2 if width >= _ROOMY else 1
    longest = max(step * line.node["depth"] + line.length for line in lines)
    label_width = min(longest, _LONGEST_LABEL, max(_LEAST_LABEL, width * 9 // 20))
    times = [duration(line.span["duration_ns"] / 1e9) for line in lines]
    time_width = max(map(len, times))
    scale = _Scale(first, last, max(_LEAST_BAR, width - label_width - time_width - 4))
    for line, time in zip(lines, times, strict=True):
        colour = colours[line.span["service"]]
        # However deep a call is, two thirds of the room are left to its name.
        indent = " " * min(step * line.node["depth"], label_width // 3)
        yield Text.assemble(
            indent,
            *_label(line, colour, label_width - len(indent)),
            (f"  {time:>{time_width}}  ", "dim"),
            *_bar(line, scale, "red" if line.failed else colour),
        )
        if line.failed and line.span["status_message"]:
            yield Text(f"{indent}  {_first_line(line.span['status_message'])}", style="red")
        if line.node["skew_ns"]:
            ahead = line.node["skew_ns"] / 1e9
            told = f"{duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} its caller's"
            yield Text(f"{indent}  its clock is {told}", style="yellow")


def _label(line: _Line, colour: str, room: int) -> Iterator[tuple[str, str]]:
    """Service and name in so many characters; where they are too long, each has half, or what the other leaves."""
    service = _fitted(line.entered, max(room // 2 - 1, room - 1 - len(line.name)))
    head = f"{service} " if service else ""
    name = _fitted(line.name, room - len(head))
    yield head, colour
    yield f"{name:<{room - len(head)}}", "bold red" if line.failed else ""


def _bar(line: _Line, scale: _Scale, style: str) -> Iterator[tuple[str, str] | str]:
    begin = line.span["start_ns"]
    cells = scale.bar(begin, begin + line.span["duration_ns"])
    heavy = {cell for start, end in line.critical for cell in scale.cells(start, end)}
    if len(cells) == 1 and line.critical:
        heavy = {*cells}
    yield " " * cells.start
    yield "".join("━" if cell in heavy else "─" for cell in cells), style


def _measured(exemplars: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """Metrics of which an exemplar points to the trace; the buckets of a histogram are one."""
    first: dict[str, Mapping[str, Any]] = {}
    for each in exemplars:
        first.setdefault(each["series"]["__name__"].removesuffix("_bucket"), each)
    for number, (name, each) in enumerate(list(first.items())[:_MOST_METRICS]):
        told = f"{name} {figures(each['value'])}"
        left = len(first) - _MOST_METRICS
        more = f"  and {_counted(left, 'metric')} more" if left > 0 and number == _MOST_METRICS - 1 else ""
        yield Text.assemble(("" if number else "\n", ""), ("measured in it  ", "dim"), told, (more, "dim"))


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
    """The text in so many characters at most, abbreviated in the middle: names of a kind begin alike, and end alike.

    >>> _fitted("document-processor", 12), _fitted("api", 12)
    ('docume…essor', 'api')
    """
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _in_one_line(text: str) -> str:
    return text.replace("\n", " ")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
