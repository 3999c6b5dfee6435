"""Whether the file of a dashboard asks what can be answered: its queries are PromQL, and its variables are there.

In: the document. Out: what it holds, in words; ConfigError with the line of the first mistake. How panels look is not
judged: what a page cannot draw it says in its place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from aiprism.errors import BadInput
from aiprism.model import dashboards, dashboardv2
from aiprism.query.promql import parse as promql
from aiprism.yamlfile import Node

# As `interpolate.ts` reads them: $name, ${name}, ${name:format}, ${name.field}, [[name]].
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)[^}]*\}|\[\[(\w+)(?::\w+)?\]\]")
_IN_RANGE = re.compile(r"(?<=\[)[^\[\]]*(?=\])|(?<=offset )\S+")


def told(document: Node, path: Path) -> str:
    """What the dashboard is called and how many panels it has, once every query of it could be asked."""
    if dashboardv2.is_v2(document.plain()):
        return _told_of_v2(document, path)
    if kind := document["kind"].text(""):
        raise document["kind"].error(f"this is a {kind}, not Grafana's Dashboard of schema v2")
    board = document["dashboard"] or document
    if not board["panels"] and not board["rows"]:
        raise board.error("a dashboard has a list of `panels` (old ones: of `rows`); this has neither")
    panels = list(_panels(board))
    known = {each["name"].text("") for each in board["templating"]["list"].items()}
    known |= {each["name"].text("") for each in board["__inputs"].items()}
    seen: dict[str, Node] = {}
    for panel in panels:
        number = panel["id"].text("")
        if number and number in seen:
            before = seen[number].line
            raise panel["id"].error(
                f"two panels have the id {number}, the other stands in line {before}; give it another"
            )
        seen[number] = panel
        for target in panel["targets"].items():
            if _is_metrics(target["datasource"] or panel["datasource"]):
                _check_query(target["expr"], panel, known)
    return _in_words(document, path, len(panels))


def _told_of_v2(document: Node, path: Path) -> str:
    """The same of one of schema v2."""
    spec = document["spec"]
    panels = [each["spec"] for each in spec["elements"].entries().values()]
    known = {each["spec"]["name"].text("") for each in spec["variables"].items()}
    for panel in panels:
        for query in (each["spec"]["query"] for each in panel["data"]["spec"]["queries"].items()):
            if _is_metrics(query["group"]):
                _check_query(query["spec"]["expr"], panel, known)
    return _in_words(document, path, len(panels))


def _in_words(document: Node, path: Path, panels: int) -> str:
    try:
        found = dashboards.read(document.plain(), name=path.stem)
    except BadInput as error:
        raise document.error(str(error)) from error
    return f"{found.title!r}, {panels} panel{'' if panels == 1 else 's'}"


def _panels(board: Node) -> Iterator[Node]:
    """Every panel, those within rows too, rows not."""
    for row in board["rows"].items():
        yield from row["panels"].items()
    for panel in board["panels"].items():
        if panel.entries() and panel["type"].text("") == "row":
            yield from panel["panels"].items()
        else:
            yield panel


def _check_query(query: Node, panel: Node, known: set[str]) -> None:
    text = query.text("") if query else ""
    if not text:
        return
    names = [a or b or c for a, b, c in _VARIABLE.findall(text)]
    for name in names:
        if name not in known and not name.startswith("__") and not name.isdigit():  # $1 is of label_replace
            near = difflib.get_close_matches(name, known, n=1)
            mend = f"did you mean ${near[0]}?" if near else "add it to the variables (templating.list)"
            raise query.error(f"{_title(panel)}: there is no variable ${name}; {mend}")
    try:
        _parsed(text, bool(names))
    except BadInput as error:
        raise query.error(f"{_title(panel)}: {error}") from error


def _is_metrics(source: Node) -> bool:
    """Whether a source has metrics: Prometheus, a variable that is not named for something else, or nothing said."""
    if not source:
        return True
    word = (source["type"] or source["uid"]).text("") if isinstance(source.plain(), dict) else source.text()
    word = word.lower()
    if word.startswith("$"):
        return not any(other in word for other in ("loki", "log", "tempo", "trace", "elastic", "sql"))
    return word in ("", "default", "mixed", "-- mixed --") or "prom" in word


def _parsed(text: str, has_variables: bool) -> None:
    """A variable may be a label's value, a name, a number or a duration: one of them has to make it PromQL."""
    ranged = _IN_RANGE.sub(lambda found: _VARIABLE.sub("5m", found[0]), text)
    wrong: list[BadInput] = []
    for value in ("x", "1", "5m", "sum") if has_variables else ("",):
        try:
            promql.parse(_VARIABLE.sub(value, ranged))
        except BadInput as error:
            wrong.append(error)
        else:
            return
    raise wrong[0]


def _title(panel: Node) -> str:
    return f"panel {panel['title'].text('') or panel['id'].text('untitled')!r}"
