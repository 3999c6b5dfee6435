"""What happens when aggregation groups are due: who is told what, and why nobody is told of the rest.

In: a `Round`, everything known of the groups that are due, gathered once from the control database. Its stages are
functions of it alone: `inhibit`, `hours`, `silence`, `maintain`, `suppress`, `dedup`, `compose`. `find_homes` looks up the
incidents that hold the alerts and `tell_once` who was told of those, and `record` writes letters, notes, what was held back
and the groups' next times; `pipeline.FLUSH` is their order. What a stage holds back is counted under its name. Sending is
`deliver`'s.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sqlalchemy import Connection

from aiprism.respond import group as groups
from aiprism.respond import journal, message
from aiprism.respond.channels.post import Integration
from aiprism.respond.group import Group, Told
from aiprism.respond.incident import Incident
from aiprism.respond.keeping import flap_of, group_of, group_row, known_of
from aiprism.respond.known import Known, in_order
from aiprism.respond.mute import held, once
from aiprism.respond.mute.flapping import Flap
from aiprism.respond.mute.held import Held
from aiprism.respond.mute.holding import Holding, nothing
from aiprism.respond.route import Route, Routing
from aiprism.respond.tiers import Tiers
from aiprism.store import alerting as store
from aiprism.store import held as held_store
from aiprism.store import incidents as outbox
from aiprism.store.incidents import Address, NotificationRow

Stage: TypeAlias = Callable[["Round", Connection], "Round"]

_FLAPS = "~"
_NAMED = 5  # alerts that flap of which a message says how much
LATE = "it was not taken before the group was due again"


@dataclass(frozen=True, slots=True)
class Telling:
    """One integration is to be told of a group, or it is noted that it need not be."""

    address: Address
    integration: Integration
    firing: frozenset[str]
    resolved: frozenset[str]
    before: float  # when it was told last, 0 when it never was


@dataclass(frozen=True, slots=True)
class Flush:
    """One group that is due, and what is left of its alerts to tell."""

    group: Group
    route: Route
    all: tuple[Known, ...]  # in Alertmanager's order
    alerts: tuple[Known, ...]
    tellings: tuple[Telling, ...] = ()


@dataclass(frozen=True, slots=True)
class Round:
    """The groups that are due now. `held` says how many alerts each reason kept back; `written` are the letters."""

    now: float
    routing: Routing
    external_url: str
    tiers: Tiers
    buttons: bool
    flushes: tuple[Flush, ...]
    holding: Holding
    told: Mapping[tuple[str, Address], Told]
    standing: Callable[[], Iterable[Incident]] = tuple  # the open incidents, if they are known without reading them
    flaps: Mapping[str, Flap] = field(default_factory=dict)  # fingerprint → of the alerts that flap
    homes: Mapping[str, Incident] = field(default_factory=dict)  # fingerprint → the incident that holds it
    held: Counter[str] = field(default_factory=Counter)
    kept_back: tuple[Held, ...] = ()
    letters: tuple[NotificationRow, ...] = ()
    noted: tuple[store.LogRow, ...] = ()

    def holding_back(self, stage: str, reason: Callable[[Flush, Known], str]) -> Round:
        """The round without the alerts of each flush for which there is a reason, in words, to hold them back."""
        flushes: list[Flush] = []
        kept_back: list[Held | None] = []
        count = 0
        for flush in self.flushes:
            reasons = [(each, reason(flush, each)) for each in flush.alerts]
            flushes.append(replace(flush, alerts=tuple(each for each, why in reasons if not why)))
            count += sum(1 for _, why in reasons if why)
            kept_back += [held_back(flush, each, stage, why, self.now) for each, why in reasons if why]
        return replace(
            self,
            flushes=tuple(flushes),
            held=self.held + Counter({stage: count} if count else {}),
            kept_back=(*self.kept_back, *(each for each in kept_back if each is not None)),
        )

    def word(self, alert: Known) -> str:
        """The alert as the notes of what was told name it: one that flaps is news to those who know that it fires."""
        return alert.fingerprint + _FLAPS if alert.fingerprint in self.flaps else alert.fingerprint


def held_back(flush: Flush, alert: Known, stage: str, reason: str, now: float) -> Held | None:
    """The note that nobody is told of an alert; none for one that is over."""
    if alert.over(now):
        return None
    return Held(
        flush.group.id, alert.fingerprint, alert.labels, flush.route.receiver, flush.route.key, stage, reason, now
    )


# -- gathering -------------------------------------------------------------------------------------------------------


def gathered(
    connection: Connection,
    routing: Routing,
    *,
    tiers: Tiers,
    external_url: str,
    buttons: bool,
    now: float,
    holding: Callable[[], Holding],
    standing: Callable[[], Iterable[Incident]] = tuple,
) -> Round:
    """The round of `now`; `holding` and `standing` are asked when there is anything to tell. Groups with a notification on
    its way are put off; one that was tried for too long is given up."""
    due = [group_of(row) for row in store.due_groups(connection, now)]
    ready = _put_off(connection, due, now)
    flaps = flapping(connection, now)
    alerts = known_alerts(connection, store.members(connection, [group.id for group in ready]), flaps)
    routes = {route.id: route for route in routing.root.walk()}
    store.drop_groups(connection, [group.id for group in ready if group.route not in routes])
    flushes = [
        Flush(group, routes[group.route], inside, inside)
        for group in ready
        if group.route in routes
        for inside in [in_order(alerts.get(group.id, ()))]
    ]
    return Round(
        now=now,
        routing=routing,
        external_url=external_url,
        tiers=tiers,
        buttons=buttons,
        flushes=tuple(flushes),
        holding=holding() if any(each.all for each in flushes) else nothing(routing, now),
        told=_told(connection, [flush.group.key for flush in flushes], now),
        standing=standing,
        flaps=flaps,
    )


def _put_off(connection: Connection, due: Sequence[Group], now: float) -> list[Group]:
    """Those of the due groups nothing of which is on its way."""
    waiting: dict[str, float] = {}
    late = []
    for letter in store.pending_letters(connection, [group.id for group in due]):
        until = letter["deadline"] or now
        if until > now:
            waiting[letter["group_id"] or ""] = max(until, waiting.get(letter["group_id"] or "", 0.0))
        else:
            late.append(letter["id"])
    store.give_up(connection, late, LATE)
    put_off = [replace(group, next_at=waiting[group.id], late=True) for group in due if group.id in waiting]
    store.put_groups(connection, [group_row(group) for group in put_off])
    return [group for group in due if group.id not in waiting]


def flapping(connection: Connection, now: float) -> dict[str, Flap]:
    """The alerts that flap."""
    found = map(flap_of, held_store.flapping_rows(connection))
    return {each.fingerprint: each for each in found if each.flaps(now)}


def known_alerts(
    connection: Connection, members: Sequence[store.Member], flaps: Collection[str] = ()
) -> dict[str, list[Known]]:
    """The alerts of each group; one that flaps fires, whatever it does at the moment."""
    rows = store.alert_rows(connection, sorted({member.fingerprint for member in members}))
    alerts = {row["fingerprint"]: known_of(row) for row in rows}
    alerts |= {name: replace(alert, ends_at=math.inf) for name, alert in alerts.items() if name in flaps}
    inside: dict[str, list[Known]] = {}
    for member in members:
        if member.fingerprint in alerts:
            inside.setdefault(member.group_id, []).append(alerts[member.fingerprint])
    return inside


def _told(connection: Connection, keys: Sequence[str], now: float) -> dict[tuple[str, Address], Told]:
    return {
        (row["group_key"], Address(row["receiver"], row["channel"], row["integration"])): Told(
            frozenset(row["firing"]), frozenset(row["resolved"]), row["at"]
        )
        for row in store.log_rows(connection, keys, now)
    }


# -- stages, in order ------------------------------------------------------------------------------------------------


def inhibit(round_: Round, _connection: Connection) -> Round:
    """Hold back alerts that another one inhibits."""
    return round_.holding_back("inhibited", lambda _, alert: round_.holding.inhibited(alert))


def hours(round_: Round, _connection: Connection) -> Round:
    """Hold back everything of a route that is quiet now."""
    quiet = {flush.route.id: ", ".join(round_.routing.muting(flush.route, round_.now)) for flush in round_.flushes}
    return round_.holding_back("hours", lambda flush, _: quiet[flush.route.id])


def silence(round_: Round, _connection: Connection) -> Round:
    """Hold back alerts that are silenced."""
    return round_.holding_back("silenced", lambda _, alert: round_.holding.silenced(alert))


def maintain(round_: Round, _connection: Connection) -> Round:
    """Hold back alerts about what is worked on."""
    return _but_good_news(round_, "maintenance", round_.holding.maintained) if round_.holding.windows else round_


def suppress(round_: Round, _connection: Connection) -> Round:
    """Hold back alerts that a suppression rule has a reason for."""
    return (
        _but_good_news(round_, "suppressed", round_.holding.suppressed) if round_.holding.suppression.rules else round_
    )


def _but_good_news(round_: Round, stage: str, reason: Callable[[Known], str]) -> Round:
    """As `Round.holding_back`. Unlike there, somebody who was told that an alert fires is told when that is over:
    else a page would stay open until the next time."""
    told = {
        (key, name.removesuffix(_FLAPS)) for (key, _), last in round_.told.items() for name in last.firing
    }  # which alerts of which groups somebody was last told to fire
    passes = {
        (flush.group.id, each.fingerprint)
        for flush in round_.flushes
        for each in flush.alerts
        if each.over(round_.now) and (flush.group.key, each.fingerprint) in told
    }
    return round_.holding_back(
        stage, lambda flush, alert: "" if (flush.group.id, alert.fingerprint) in passes else reason(alert)
    )


def dedup(round_: Round, _connection: Connection) -> Round:
    """Find the integrations for which there is something new, or which are to be reminded."""
    flushes = tuple(replace(flush, tellings=tuple(_tellings(flush, round_))) for flush in round_.flushes)
    quiet = [(flush, each) for flush in flushes if not flush.tellings for each in flush.alerts]
    wavering = [(flush, each) for flush, each in quiet if each.fingerprint in round_.flaps]
    kept_back = [
        held_back(flush, each, "flapping", round_.flaps[each.fingerprint].said(), round_.now)
        for flush, each in wavering
    ]
    counts = {"unchanged": len(quiet) - len(wavering), "flapping": len(wavering)}
    return replace(
        round_,
        flushes=flushes,
        held=round_.held + Counter({stage: count for stage, count in counts.items() if count}),
        kept_back=(*round_.kept_back, *(each for each in kept_back if each is not None)),
    )


def _tellings(flush: Flush, round_: Round) -> Iterable[Telling]:
    firing = frozenset(round_.word(each) for each in flush.alerts if not each.over(round_.now))
    resolved = frozenset(each.fingerprint for each in flush.alerts if each.over(round_.now))
    for number, integration in enumerate(round_.routing.integrations(flush.route.receiver) if flush.alerts else ()):
        address = Address(flush.route.receiver, integration.channel, number)
        told = round_.told.get((flush.group.key, address))
        why = groups.reason(
            told,
            firing,
            resolved,
            send_resolved=integration.send_resolved,
            repeat=flush.route.repeat_interval,
            now=round_.now,
        )
        if why:
            yield Telling(address, integration, firing, resolved, told.at if told else 0.0)


def tell_once(round_: Round, connection: Connection) -> Round:
    """Leave out the integrations that know of everything that fires by its incident, and by the incident's key. One that
    is closed holds back no longer than a group rests between its repetitions."""
    rounds = {home.id: home.begun_at for home in round_.homes.values()}
    heard = outbox.told_since(connection, rounds) if rounds else set()
    if not heard:
        return round_
    flushes, kept_back, count = [], [], 0
    for flush in round_.flushes:
        firing = [each for each in flush.alerts if not each.over(round_.now)]
        left, closed_since = [], round_.now - flush.route.repeat_interval
        for telling in flush.tellings:
            told = round_.told.get((flush.group.key, telling.address))
            by = once.told_by(telling.address, firing, round_.homes, heard, told, closed_since=closed_since)
            if not by:
                left.append(telling)
                continue
            count += len(firing)
            kept_back += [held_back(flush, each, "told_by_incident", ", ".join(by), round_.now) for each in firing]
        flushes.append(replace(flush, tellings=tuple(left)))
    return replace(
        round_,
        flushes=tuple(flushes),
        held=round_.held + Counter({"told_by_incident": count} if count else {}),
        kept_back=(*round_.kept_back, *(each for each in kept_back if each is not None)),
    )


def compose(round_: Round, _connection: Connection) -> Round:
    """Write a letter for each telling. Where good news is not sent it is only noted, as if it had been told."""
    letters: list[NotificationRow] = []
    noted: list[store.LogRow] = []
    for flush in round_.flushes:
        for telling in flush.tellings:
            if telling.firing or telling.integration.send_resolved:
                letters.append(_letter(telling, flush, round_))
            else:
                noted.append(log_row(flush.group.key, telling.address, _tells(telling, flush), round_.now))
    return replace(round_, letters=tuple(letters), noted=tuple(noted))


def _letter(telling: Telling, flush: Flush, round_: Round) -> NotificationRow:
    shown = [each for each in flush.alerts if telling.integration.send_resolved or not each.over(round_.now)]
    incident = _incident(flush, round_)
    said = replace(
        message.of_group(
            flush.group.key,
            flush.group.labels,
            [round_.tiers.placed(each.as_alert(round_.now)) for each in shown],
            at=round_.now,
            external_url=round_.external_url,
            incident=incident,
        ),
        receiver=telling.address.receiver,
        acknowledgeable=round_.buttons and incident is not None and incident.acknowledgeable,
    )
    if flapping_ones := [each for each in shown if each.fingerprint in round_.flaps]:
        words = [f"{_name(each)} flaps: {round_.flaps[each.fingerprint].said()}" for each in flapping_ones[:_NAMED]]
        said = replace(said, text="; ".join([said.text, *words]))
    # The same for the same news: if it was taken although we never heard so, its receiver knows it by this key.
    name = _digest(flush.group.id, telling.address, *_episodes(flush, round_), telling.before)
    return {
        "id": f"N_{name}",
        "incident_id": incident.id if incident else None,
        "receiver": telling.address.receiver,
        "channel": telling.address.channel,
        "integration": telling.address.integration,
        "event": f"{said.event}#{name[:8]}",
        "state": "pending",
        "attempts": 0,
        "next_at": round_.now,
        "created_at": round_.now,
        "sent_at": None,
        "error": "",
        "payload": message.to_payload(said),
        "dedup_key": said.subject_id,
        "group_id": flush.group.id,
        "deadline": groups.deadline(flush.route, round_.now),
        "tells": _tells(telling, flush),
    }


def _name(alert: Known) -> str:
    return alert.labels.get("alertname", "an alert")


def _incident(flush: Flush, round_: Round) -> Incident | None:
    """The incident of the most urgent alert that has one; of what fires, if anything does."""
    held = [
        (each.over(round_.now), round_.homes[each.fingerprint])
        for each in flush.alerts
        if each.fingerprint in round_.homes
    ]
    return min(held, key=lambda pair: (pair[0], pair[1].priority.urgency, pair[1].created_at))[1] if held else None


def _episodes(flush: Flush, round_: Round) -> Iterable[object]:
    """What tells this news from the same of another day."""
    return ((round_.word(each), each.starts_at, each.over(round_.now)) for each in flush.alerts)


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def _tells(telling: Telling, flush: Flush) -> dict[str, object]:
    return {
        "group_key": flush.group.key,
        "firing": sorted(telling.firing),
        "resolved": sorted(telling.resolved),
        "remembered": groups.log_expiry(flush.route, 0.0),
        "at": flush.group.next_at,
    }


# -- reading and writing between them --------------------------------------------------------------------------------


def find_homes(round_: Round, connection: Connection) -> Round:
    """Find the incidents that hold what is to be told."""
    told = {each.fingerprint: each for flush in round_.flushes if flush.tellings for each in flush.alerts}
    if not told:
        return round_
    homes = journal.last_incidents_of(connection, sorted(told), round_.standing())
    return replace(round_, homes={key: home for key, home in homes.items() if _holds(home, told[key])})


def _holds(incident: Incident, alert: Known) -> bool:
    """Whether it holds this episode of the alert, not one before."""
    held = incident.alert(alert.fingerprint)
    return held is not None and (held.resolved_at is None or held.resolved_at >= alert.starts_at)


def record(round_: Round, connection: Connection) -> Round:
    """Write the letters and what needs none, and when each group is due again."""
    store.put_letters(connection, round_.letters)
    store.put_log(connection, round_.noted)
    store.put_groups(
        connection,
        [group_row(groups.after_flush(flush.group, flush.route, round_.now)) for flush in round_.flushes],
    )
    held.note(connection, [flush.group.id for flush in round_.flushes], round_.kept_back, round_.now)
    busy = {letter["group_id"] for letter in round_.letters}
    for flush in round_.flushes:
        if flush.group.id not in busy:
            prune(connection, flush.group.id, flush.all, round_.now)
    return round_


def prune(connection: Connection, group_id: str, told: Iterable[Known], now: float) -> None:
    """Alerts that were told as over leave their group, unless they were reported again since."""
    store.leave(connection, [store.Member(group_id, each.fingerprint) for each in told if each.over(now)])


def delivered(connection: Connection, rows: Sequence[NotificationRow], now: float) -> None:
    """Note that integrations took notifications of groups; what was over leaves its group with the last of them."""
    about = [(row, row["tells"], row["group_id"]) for row in rows]
    store.put_log(
        connection,
        [
            log_row(tells["group_key"], store.address_of(row), tells, now)
            for row, tells, group in about
            if group and tells
        ],
    )
    flaps = flapping(connection, now)
    for row, tells, group in about:
        if group and tells and tells["resolved"] and not store.untold(connection, group, row["created_at"]):
            inside = known_alerts(connection, store.members(connection, [group]), flaps).get(group, [])
            told = [each for each in inside if each.updated_at <= row["created_at"]]
            prune(connection, group, told, row["created_at"])


def unheard(connection: Connection, row: NotificationRow, now: float) -> bool:
    """Whether a letter that is given up was about an incident: the groups of its alerts are looked at now, for they counted
    on it."""
    if row["incident_id"] is None or row["group_id"] is not None:
        return False
    incident = journal.read(connection, row["incident_id"])
    store.hasten_groups(connection, [alert.fingerprint for alert in incident.firing], now)
    return True


def finished(connection: Connection, rows: Sequence[NotificationRow], now: float) -> bool:
    """Whether the group of a notification that is done with was waiting for this: it is due now."""
    return store.release(connection, sorted({row["group_id"] for row in rows if row["group_id"] is not None}), now)


# -- rows ------------------------------------------------------------------------------------------------------------


def log_row(key: str, address: Address, tells: Mapping[str, object], now: float) -> store.LogRow:
    """What `address` was told of the group with that key."""
    firing, resolved, remembered = tells["firing"], tells["resolved"], tells["remembered"]
    assert isinstance(firing, list)
    assert isinstance(resolved, list)
    assert isinstance(remembered, int | float)
    return {
        "group_key": key,
        "receiver": address.receiver,
        "channel": address.channel,
        "integration": address.integration,
        "firing": firing,
        "resolved": resolved,
        "at": now,
        "expires_at": now + remembered,
    }
