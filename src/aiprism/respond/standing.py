"""The incidents that are open, without reading them anew for each batch of alerts, or each word about one of ten thousand alerts.

In: a connection inside a transaction. Out: every open `Incident`, of which only those are read that something happened to since:
whatever happens to an incident leaves a line on its timeline, and those are numbered. With them are kept their alerts as
`correlate` arranges them: ten thousand alerts in hundreds of batches would else be arranged anew for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from aiprism.errors import Refused
from aiprism.respond import journal
from aiprism.respond.correlate import Neighbourhood
from aiprism.respond.incident import Incident
from aiprism.store import incidents as store


class Standing:
    """What was open when it was last looked. One transaction after the other may use it, not two at once."""

    def __init__(self) -> None:
        self._seen: int | None = None
        self._open: dict[str, Incident] = {}
        self.neighbours = Neighbourhood()  # the alerts of what was open, as the last batch left them

    def open_incidents(self, connection: Connection) -> list[Incident]:
        """Every incident that is not resolved, oldest first."""
        self._look(connection)
        return sorted(self._open.values(), key=lambda each: (each.created_at, each.id))

    def incident(self, connection: Connection, incident_id: str) -> Incident | None:
        """The incident of that id, if it is open."""
        self._look(connection)
        return self._open.get(incident_id)

    def _look(self, connection: Connection) -> None:
        last = store.last_event(connection)
        if self._seen is None or last < self._seen:  # a first look, or another database than before
            self._open = {}
            self._take(journal.open_incidents(connection), last)
        elif last > self._seen:
            self._take(journal.these(connection, store.incidents_since(connection, self._seen)), last)

    @contextmanager
    def writing(self, connection: Connection, incidents: Sequence[Incident]) -> Iterator[None]:
        """While these are written: they need not be read again, if nothing else happened since the last look."""
        current = self._seen == store.last_event(connection)
        yield
        if current:
            self._take(incidents, store.last_event(connection))

    def _take(self, incidents: Iterable[Incident], last: int) -> None:
        for each in incidents:
            self._open.pop(each.id, None)
            if each.open:
                self._open[each.id] = each
        self._seen = last

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """While somebody may be refused, as a person is who acknowledges what is over: what was seen before stays, if nothing was
        written by then. To read ten thousand alerts again for each of these would hold up everybody."""
        before = self._seen
        try:
            yield
        except Refused:
            if self._seen != before:
                self.forget()
            self.neighbours = Neighbourhood()
            raise
        except BaseException:
            self.forget()
            raise

    def forget(self) -> None:
        """Look at everything again the next time: what was seen was taken back."""
        self._seen, self._open, self.neighbours = None, {}, Neighbourhood()
