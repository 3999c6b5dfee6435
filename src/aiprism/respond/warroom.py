"""What a war room is, as functions without I/O (the plan, L2595): its lines, who is in it, what commands mean.

In: the lines of a room, which are only ever appended to. Out: the room they make, folded. Keeping them and letting commands
happen is left to `rooms`, which tiers get a room by themselves to `roomplan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from aiprism.errors import BadInput, TooMany
from aiprism.respond.incident import (
    Acknowledged,
    Assigned,
    Event,
    Identified,
    Noted,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    TaskAdded,
    TaskDone,
    Unacknowledged,
)

MOST_CHARACTERS = 8_000  # of one message
MOST_LINES = 20_000  # of one room: who writes more has a machine that does
_WINDOW, _OF_ONE, _OF_ALL = 10.0, 20, 100  # lines that may be written within so many seconds


class Kind(Enum):
    """What a line is."""

    SAID = "said"  # somebody said something
    ANSWERED = "answered"  # what became of a command
    JOINED = "joined"
    LEFT = "left"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    EDITED = "edited"  # what somebody said elsewhere has other words now
    DELETED = "deleted"  # it was taken away there; here it stays
    FULL = "full"  # nothing more is heard from elsewhere


# The lines that make the room; the others are read and scrolled past.
SHAPING = (Kind.JOINED, Kind.LEFT)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a room; `id` grows, and is 0 before the line is kept."""

    at: float
    kind: Kind
    author: str
    text: str
    data: Mapping[str, object] = field(default_factory=dict)
    id: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has read: the ids of the last lines of room and timeline that they know.

    >>> str(Place(17, 203)), Place.of("17-203"), Place.of("yesterday")
    ('17-203', Place(line=17, event=203), None)
    """

    line: int
    event: int

    def __str__(self) -> str:
        return f"{self.line}-{self.event}"

    @classmethod
    def of(cls, text: str) -> Place | None:
        """The place that a text names; None when it names none."""
        line, dash, event = text.partition("-")
        known = dash and all(part.isascii() and part.isdigit() and len(part) < 19 for part in (line, event))
        return cls(int(line), int(event)) if known else None


START = Place(0, 0)  # of who has read nothing


@dataclass(frozen=True, slots=True)
class Room:
    """A room as it stands after some lines: who is in it since when. What is pinned is its incident's."""

    present: Mapping[str, float] = field(default_factory=dict)

    def after(self, line: Line) -> Room:
        """The room with one more line."""
        match line.kind:
            case Kind.JOINED:
                return replace(self, present={**self.present, line.author: line.at})
            case Kind.LEFT:
                return replace(self, present={name: at for name, at in self.present.items() if name != line.author})
        return self


def folded(lines: Iterable[Line]) -> Room:
    """The room that these lines make."""
    room = Room()
    for line in lines:
        room = room.after(line)
    return room


def admitted(author: str, lately: Mapping[str, int], lines: int) -> None:
    """Return when somebody may write one more line; TooMany when they, or all together, are too fast, or the room is full.
    `lately` says how many lines each author wrote within the last ten seconds."""
    if lately.get(author, 0) >= _OF_ONE:
        raise TooMany(f"{author} has written {_OF_ONE} lines in {_WINDOW:g} s; wait a moment", retry_after=_WINDOW)
    if sum(lately.values()) >= _OF_ALL:
        raise TooMany(f"the room takes {_OF_ALL} lines in {_WINDOW:g} s; wait a moment", retry_after=_WINDOW)
    if is_full(lines):
        raise TooMany(f"the room is full: it holds {MOST_LINES} lines; go on by comments on the timeline")


def is_full(lines: int) -> bool:
    """Whether a room of so many lines takes none of people any more."""
    return lines >= MOST_LINES


def lately(now: float) -> float:
    """The time since when lines count for `admitted`."""
    return now - _WINDOW


# -- commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """What a message that begins with a slash asks for: one of `COMMANDS`, and the words behind it."""

    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A command that there is. `event` makes what happens to the incident of (who, words); without one the room does it."""

    usage: str
    does: str
    event: Callable[[str, str], Event] | None = None
    needs_words: bool = False


def _assigned(who: str, words: str) -> Event:
    return Assigned(who, words.removeprefix("@") or who)


def _task(who: str, words: str) -> Event:
    """Words that end with @somebody are that one's task."""
    text, at, person = words.rpartition(" @")
    named = at and person and " " not in person
    return TaskAdded(who, text.strip() if named else words, person if named else "")


def _task_done(who: str, words: str) -> Event:
    task, _, text = words.partition(" ")
    return TaskDone(who, task.upper(), text.strip())


COMMANDS: Mapping[str, Offer] = {
    "ack": Offer("/ack [words]", "say that you have seen it and take care", Acknowledged),
    "unack": Offer("/unack [words]", "say that you do not take care of it after all", Unacknowledged),
    "respond": Offer("/respond [words]", "say that you begin to work on it", Responded),
    "identify": Offer("/identify [cause]", "say that the cause is known", Identified),
    "resolve": Offer("/resolve [words]", "close it by hand", ResolvedByHand),
    "reopen": Offer("/reopen [words]", "open it again", ReopenedByHand),
    "note": Offer("/note WORDS", "put a sentence on the timeline", lambda who, text: Noted("comment", who, text), True),
    "assign": Offer("/assign [PERSON]", "say who is to take care of it; you, when nobody is named", _assigned),
    "task": Offer("/task WORDS [@PERSON]", "note what is to be done, and by whom", _task, True),
    "done": Offer("/done TASK [words]", "say that a task is done", _task_done, True),
    "status": Offer("/status AUDIENCE [STATUS] [words]", "tell an audience how it stands", needs_words=True),
    "pin": Offer("/pin WORDS", "pin what you write", needs_words=True),
    "run": Offer("/run RUNBOOK [reason]", "start a runbook; its guards apply", needs_words=True),
    "approve": Offer("/approve [RUNBOOK]", "let a runbook that waits for approval go ahead"),
    "refuse": Offer("/refuse [RUNBOOK]", "end a runbook run that waits for approval"),
    "who": Offer("/who", "who is in the room"),
    "help": Offer("/help", "what can be asked"),
}


def command(text: str) -> Command | None:
    """The command that a message is; None for what is only said, as `//` at its beginning says. BadInput for one that there is
    not, or that lacks its words.

    >>> command("/ack on it"), command("a/b"), command("//etc is full")
    (Command(name='ack', words='on it'), None, None)
    """
    if not text.startswith("/") or text.startswith("//"):
        return None
    name, _, words = text[1:].strip().partition(" ")
    offer = COMMANDS.get(name.lower())
    if offer is None:
        raise BadInput(f"there is no command /{name[:40]}; there are {', '.join('/' + each for each in COMMANDS)}")
    if offer.needs_words and not words.strip():
        raise BadInput(f"write {offer.usage}: {offer.does}")
    return Command(name.lower(), words.strip())
