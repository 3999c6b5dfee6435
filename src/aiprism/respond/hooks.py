"""What people do to incidents in Slack, PagerDuty and Opsgenie, as these tell us by webhook: who sent it, and what was done.

In: headers, body, and the secret that the other side signs or shows. Out: `Spoken`, or Forbidden. Pure but for secrets
that live in files. What follows is `hearing`'s; what is written in channels of Slack is understood in `slackevents`.
Sources: "Verifying requests from Slack"; PagerDuty "Webhooks overview" (V3) and "Verifying signatures"; Opsgenie "Webhook
integration".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import parse_qs

from aiprism.httpconfig import Secret
from aiprism.respond.incident import Origin
from aiprism.respond.signed import Forbidden, any_equal, bearer, hmac_of, json_object, keys_of, moment, part

_SLACK_WINDOW = 300.0  # seconds a signed request of Slack is good for, as its page asks
ACKNOWLEDGE = "acknowledge"  # what our button in Slack is called


class Deed(Enum):
    """What a person did there."""

    ACKNOWLEDGE = "acknowledge"
    UNACKNOWLEDGE = "unacknowledge"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    COMMENT = "comment"
    LAPSE = "lapse"  # it was closed, but by no person: nobody says that it is over
    NOTHING = "nothing"  # of which we only keep what it is called there


@dataclass(frozen=True, slots=True)
class Spoken:
    """One deed. `id` is the same when it is told again; `subject` is our name of what it is about, `theirs` the other
    side's, of which one may be empty. `at` is Unix seconds, by their clock."""

    id: str
    at: float
    deed: Deed
    actor: str
    text: str
    origin: Origin
    subject: str = ""
    theirs: str = ""


# -- Slack -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button of ours that somebody pressed, and where the message with it can be changed."""

    spoken: Spoken
    response_url: str


# Buttons of messages of earlier versions carry no number.
_BELOW = re.compile(r"(?P<subject>[^|]+)\|(?:(?P<number>\d{1,4})\|)?(?P<receiver>.*)", re.DOTALL)


def button_value(subject: str, receiver: str, integration: int) -> str:
    """What our button carries, so that we know what it was below: the integration by its number in the receiver."""
    return f"{subject}|{integration}|{receiver}"


def slack(headers: Mapping[str, str], body: bytes, secret: Secret, now: float) -> list[Pressed]:
    """The buttons of ours that were pressed; none when it was something else. Forbidden unless Slack signed it just now."""
    stamp, shown = slack_signed(headers, body, secret, now)
    payload = json_object(parse_qs(body.decode("utf-8", "replace")).get("payload", [""])[0], "payload")
    user = payload.get("user") or {}
    name = str(user.get("username") or user.get("name") or user.get("id") or "somebody")
    pressed = []
    for number, action in enumerate(payload.get("actions") or ()):
        below = _BELOW.fullmatch(str(action.get("value", "")))
        if action.get("action_id") == ACKNOWLEDGE and below:
            actor = f"{name} (Slack)"
            spoken = Spoken(
                id=f"slack:{shown}:{number}",
                at=float(stamp),
                deed=Deed.ACKNOWLEDGE,
                actor=actor,
                text=f"acknowledged by {actor}",
                origin=Origin("slack", below["receiver"], int(below["number"]) if below["number"] else None),
                subject=below["subject"],
            )
            pressed.append(Pressed(spoken, str(payload.get("response_url") or "")))
    return pressed


def slack_signed(headers: Mapping[str, str], body: bytes, secret: Secret, now: float) -> tuple[str, str]:
    """Time and signature of a request that Slack signed just now; Forbidden for any other."""
    stamp, shown = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
    signed = hmac_of(secret.reveal(), b"v0:" + stamp.encode("ascii", "replace") + b":" + body)
    if not hmac.compare_digest(f"v0={signed}".encode(), shown.encode()):
        raise Forbidden("X-Slack-Signature is not what hooks.slack_secret signs; is it the signing secret of this app?")
    if not re.fullmatch(r"\d{1,12}", stamp) or abs(now - int(stamp)) > _SLACK_WINDOW:
        raise Forbidden("X-Slack-Request-Timestamp is more than five minutes from our clock")
    return stamp, shown


# -- PagerDuty -------------------------------------------------------------------------------------------------------

_PAGERDUTY = {
    "incident.acknowledged": Deed.ACKNOWLEDGE, "incident.unacknowledged": Deed.UNACKNOWLEDGE,
    "incident.resolved": Deed.RESOLVE, "incident.reopened": Deed.REOPEN, "incident.reassigned": Deed.COMMENT,
    "incident.annotated": Deed.COMMENT, "incident.triggered": Deed.NOTHING,
}  # fmt: skip


def pagerduty(headers: Mapping[str, str], body: bytes, secret: Secret, receiver: str = "") -> Spoken | None:
    """What was done to an incident there; None when it was nothing of interest. Forbidden unless PagerDuty signed it.

    `secret` may hold several, separated by spaces or commas: each webhook subscription has its own.
    """
    shown = [each.strip() for each in headers.get("x-pagerduty-signature", "").split(",")]
    if not any_equal([f"v1={hmac_of(key, body)}" for key in keys_of(secret)], shown):
        raise Forbidden("X-PagerDuty-Signature is not what hooks.pagerduty_secret signs; is it that of this webhook?")
    event = part(json_object(body, "the body"), "event")
    deed = _PAGERDUTY.get(str(event.get("event_type")))
    if deed is None:
        return None
    data = part(event, "data")
    about = data.get("incident") or data  # a note names its incident, without our key
    agent = event.get("agent") or {}
    actor = f"{agent['summary']} (PagerDuty)" if agent.get("summary") else "PagerDuty"
    word = str(event.get("event_type")).partition(".")[2]
    if deed is Deed.RESOLVE and not str(agent.get("type") or "").startswith("user"):
        deed, word = Deed.LAPSE, "lapsed"  # auto-resolve, or we ourselves: what fires goes on being told
    return Spoken(
        id=f"pagerduty:{event.get('id')}",
        at=moment(event.get("occurred_at"), "occurred_at"),
        deed=deed,
        actor=actor,
        text=_pagerduty_text(word, data, actor),
        origin=Origin("pagerduty", receiver),
        subject=str(about.get("incident_key") or ""),
        theirs=str(about.get("id") or ""),
    )


def _pagerduty_text(word: str, data: Mapping[str, Any], actor: str) -> str:
    if word == "annotated":
        return str(data.get("content") or "")
    if word == "reassigned":
        names = [str(each.get("summary")) for each in data.get("assignees") or ()]
        return f"assigned to {', '.join(names) or 'nobody'} by {actor}"
    if word == "lapsed":
        return f"closed there by {actor}, but by no person: it goes on here"
    return f"{word} by {actor}"


# -- Opsgenie --------------------------------------------------------------------------------------------------------

_OPSGENIE = {
    "Acknowledge": Deed.ACKNOWLEDGE, "UnAcknowledge": Deed.UNACKNOWLEDGE, "Close": Deed.RESOLVE, "AddNote": Deed.COMMENT,
    "AssignOwnership": Deed.COMMENT, "TakeOwnership": Deed.COMMENT,
}  # fmt: skip


def opsgenie(headers: Mapping[str, str], body: bytes, secret: Secret, receiver: str = "") -> Spoken | None:
    """What was done to an alert there; None when it was nothing of interest. Opsgenie signs nothing: it shows the secret as
    a bearer token, in a header that its webhook is given."""
    bearer(headers, secret, "hooks.opsgenie_secret")
    said = json_object(body, "the body")
    deed = _OPSGENIE.get(str(said.get("action")))
    if deed is None:
        return None
    alert = part(said, "alert")
    actor = f"{alert.get('username') or 'somebody'} (Opsgenie)"
    note, action = str(alert.get("note") or ""), str(said.get("action"))
    at = float(alert.get("updatedAt") or 0) / (1e9 if float(alert.get("updatedAt") or 0) > 1e15 else 1e3)
    return Spoken(
        id=f"opsgenie:{alert.get('alertId')}:{action}:{alert.get('updatedAt')}",
        at=at,
        deed=deed,
        actor=actor,
        text=note or f"{action} by {actor}",
        origin=Origin("opsgenie", receiver),
        subject=str(alert.get("alias") or ""),
        theirs=str(alert.get("alertId") or ""),
    )
