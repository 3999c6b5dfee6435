"""How answers look in a terminal: tables, numbers with units, times.

In: rows and values. Out: calm text on stdout: coloured in a terminal, plain (no control codes, nothing wrapped or cut)
when it goes into a pipe or a file. What is shown is decided by the commands.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from aiprism.errors import BadInput
from aiprism.model.timerange import duration_seconds

# A pipe has no width; this one keeps every table on one line a row.
_PIPE_WIDTH = 1000
_BETWEEN = 3  # cells between two columns
_LEAST_FOLD = 22  # narrower than this a text is a column of syllables
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_BLOCKS = "▁▂▃▄▅▆▇█"

STYLES = {
    "firing": "bold red",
    "failed": "bold red",
    "ERROR": "red",
    "FATAL": "bold red",
    "WARN": "yellow",
    "DEBUG": "dim",
    "pending": "yellow",
    "investigating": "bold red",
    "identified": "yellow",
    "monitoring": "cyan",
    "resolved": "green",
    "succeeded": "green",
    "rolled_back": "yellow",
    "aborted": "yellow",
    "verifying": "cyan",
    "running": "cyan",
    "done": "green",
    "unknown": "yellow",
    "sent": "green",
    "critical": "red",
    "warning": "yellow",
    "P0": "bold red",
    "P1": "red",
    "P2": "yellow",
}


def console() -> Console:
    """A console on today's stdout."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=_PIPE_WIDTH, color_system=None, force_terminal=False, legacy_windows=False)


def show(*parts: RenderableType) -> None:
    """Print `parts`; outside a terminal without trailing blanks."""
    out = console()
    with out.capture() as captured:
        for part in parts:
            fitted = part.within(out.width) if out.is_terminal and isinstance(part, Listing) else part
            out.print(fitted, soft_wrap=not out.is_terminal and isinstance(part, str | Text))
    told = harmless(captured.get())
    if out.is_terminal:
        sys.stdout.write(told)
        sys.stdout.flush()
        return
    print("\n".join(line.rstrip() for line in told.split("\n")[:-1]))


# All that moves a cursor, names a window or writes to a clipboard; colours are our own, too.
_COMMANDING = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """The text with signs instead of what commands a terminal: names and messages are whatever somebody sent.

    >>> harmless("\\x1b[2Jgone")
    '␛[2Jgone'
    """
    return _COMMANDING.sub(lambda found: chr(0x2400 + ord(found[0])) if found[0] < " " else "\ufffd", text)


def show_json(answer: Any) -> None:
    """Print `answer` as the server gave it."""
    print(json.dumps(answer, indent=2, ensure_ascii=False))


class Listing(Table):
    """A table that in a narrow terminal leaves out whole columns, those in `least` one after the other: of an id, a number or a
    name a part is worth nothing, and rich would cut all of them."""

    least: tuple[str, ...] = ()

    def within(self, width: int) -> Table:
        """The table as it fits into so many columns of a terminal, as far as that can be."""
        kept, dropped = list(self.columns), []
        for name in self.least:
            if _fits(kept, width):
                break
            dropped += [column for column in kept if column.header == name]
            kept = [column for column in kept if column.header != name]
        for column in reversed(dropped):  # a narrow one may have gone before a wide one whose room it needs not
            more = [each for each in self.columns if each is column or each in kept]
            kept = more if _fits(more, width) else kept
        if len(kept) == len(self.columns):
            return self
        names = [str(column.header) for column in kept]
        right = [name for name, column in zip(names, kept, strict=True) if column.justify == "right"]
        fold = next((name for name, column in zip(names, kept, strict=True) if not column.no_wrap), "")
        made = table(*names, right=right, fold=fold)
        for column, before in zip(made.columns, kept, strict=True):
            column.min_width = before.min_width
        for row in zip(*(column.cells for column in kept), strict=True):
            made.add_row(*row)
        return made


def _fits(columns: Sequence[Column], width: int) -> bool:
    return sum(map(_width, columns)) + _BETWEEN * (len(columns) - 1) <= width


def _width(column: Column) -> int:
    """What a column needs; one that may wrap makes do with less than all."""
    widest = max(
        cell_len(each.plain if isinstance(each, Text) else str(each)) for each in (column.header, *column.cells)
    )
    return widest if column.no_wrap else min(widest, _LEAST_FOLD)


def table(*columns: str, right: Iterable[str] = (), fold: str = "", least: Iterable[str] = ()) -> Listing:
    """An empty table in the house style; `right` columns are numbers, `fold` is the one that may wrap, and those in `least` are
    left out first where there is no room."""
    made = Listing(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="dim")
    made.least = tuple(least)
    numbers = set(right)
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in numbers else "left",
            no_wrap=name != fold,
            overflow="fold" if name == fold else "ellipsis",
        )
    return made


def styled(word: str) -> Text:
    """A state, level or priority in its colour."""
    return Text(word, style=STYLES.get(word, ""))


def titled(title: str) -> Text:
    """The head of a part."""
    return Text(f"\n{title}", style="bold")


# -- numbers ---------------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """A length of time to two or three figures.

    >>> duration(0.000_34), duration(0.0123), duration(2.345), duration(83), duration(3900), duration(200_000)
    ('340 µs', '12.3 ms', '2.35 s', '1 min 23 s', '1 h 5 min', '2 d 7 h')
    """
    if seconds < 0:
        return f"-{duration(-seconds)}"
    for limit, factor, unit in ((0.001, 1e6, "µs"), (0.9995, 1e3, "ms"), (_MINUTE, 1.0, "s")):
        if 0 < seconds < limit:
            return f"{figures(seconds * factor)} {unit}"
    for size, below, unit, lesser in (
        (_DAY, _HOUR, "d", "h"),
        (_HOUR, _MINUTE, "h", "min"),
        (_MINUTE, 1.0, "min", "s"),
    ):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            return f"{whole:.0f} {unit} {int(rest // below)} {lesser}"
    return "0 s"


def figures(value: float, digits: int = 3) -> str:
    """A number to `digits` figures, never in exponents where people would not expect one.

    >>> figures(0.12345), figures(12.345), figures(1234.5), figures(5), figures(1.5e9)
    ('0.123', '12.3', '1,234', '5', '1.5e+09')
    """
    if math.isnan(value) or math.isinf(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e9 or size < 1e-4:
        return f"{value:.{digits}g}"
    if size >= 1000:
        return f"{value:,.0f}"
    places = max(0, digits - 1 - math.floor(math.log10(size)))
    return f"{value:.{places}f}".rstrip("0").rstrip(".") if places else f"{value:.0f}"


def share(part: float) -> str:
    """A share as a percentage.

    >>> share(0.0), share(0.0344), share(1.0)
    ('0 %', '3.4 %', '100 %')
    """
    return f"{figures(round(part * 100, 1))} %"


def sparkline(values: Sequence[float], width: int = 0) -> str:
    """The course of `values` in one line of blocks, the newest at the right; unknown ones (NaN) are blank.

    >>> sparkline([0, 1, 2, 4, float("nan"), 8])
    '▁▂▃▅ █'
    """
    shown = list(values[-width:] if width else values)
    top = max((value for value in shown if math.isfinite(value)), default=0.0)
    marks = [
        " " if not math.isfinite(value) else _BLOCKS[round(max(value, 0.0) / top * 7) if top > 0 else 0]
        for value in shown
    ]
    return "".join(marks).rjust(width)


# -- times -----------------------------------------------------------------------------------------------------------


def moment(at: float) -> str:
    """Date and time of day where the reader is."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(at: float, *, millis: bool = False) -> str:
    """Time of day where the reader is."""
    text = datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S.%f")
    return text[:-3] if millis else text[:-7]


def since(start: float, at: float) -> str:
    """How long after `start`, for timelines.

    >>> since(100.0, 100.0), since(100.0, 112.34), since(100.0, 225.0)
    ('+0.0 s', '+12.3 s', '+2:05')
    """
    gone = at - start
    if abs(gone) < _MINUTE:
        return f"{gone:+.1f} s"
    minutes, seconds = divmod(round(abs(gone)), 60)
    hours, minutes = divmod(minutes, 60)
    sign = "+" if gone >= 0 else "-"
    return f"{sign}{hours}:{minutes:02}:{seconds:02}" if hours else f"{sign}{minutes}:{seconds:02}"


def ago(at: float, now: float) -> str:
    """How long before `now`."""
    return f"{duration(max(0.0, float(round(now - at))))} ago"


def moment_in(text: str | None, now: float) -> float:
    """The time that a person wrote: nothing or `now`, Unix seconds, ISO 8601, or a duration for that long ago.

    >>> moment_in("5m", 1000.0), moment_in("1700000000", 1000.0), moment_in("2026-01-01T00:00:00Z", 1000.0)
    (700.0, 1700000000.0, 1767225600.0)
    """
    if text is None or text == "now":
        return now
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        pass
    try:
        return now - duration_seconds(text.removesuffix(" ago"))
    except BadInput:
        raise BadInput(
            f"not a time: {text!r}; write Unix seconds, 2026-11-23T14:00:00Z, or 15m for fifteen minutes ago"
        ) from None


def present() -> float:
    """Unix seconds."""
    return time.time()
