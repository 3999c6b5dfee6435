"""Rules and alerts in the form of Prometheus' HTTP API, so that Grafana and promtool-like clients read ours.

In: how every group's last evaluation went. Out: `/api/v1/rules` and `/api/v1/alerts`, byte for byte Prometheus' names,
times and numbers (https://prometheus.io/docs/prometheus/latest/querying/api/#rules). Rules on logs and traces, which Prometheus has
none of, have `asks` besides: the fields with which their file says what they ask.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from aiprism.detect.groups import GroupStatus, RuleStatus
from aiprism.detect.rules import AlertingRule, RecordingRule
from aiprism.detect.signals import written
from aiprism.errors import BadInput
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.gofloat import format_float
from aiprism.model.labels import Matcher, matches_all
from aiprism.web.parameters import selected

Status = Callable[[], Sequence[GroupStatus]] | Callable[[], Awaitable[Sequence[GroupStatus]]]
# A group and those of its rules that are asked for.
_Chosen = tuple[GroupStatus, Sequence[RuleStatus]]


def router(status: Status) -> APIRouter:
    """GET /api/v1/rules and /api/v1/alerts over `status`, which tells how every group stands."""
    routes = APIRouter(prefix="/api/v1", tags=["prometheus"])

    @routes.get("/rules", response_class=JSONResponse, summary="Rule groups, their rules and active alerts")
    async def rules(
        type: str = "",  # noqa: A002 - the parameter's name in Prometheus' API
        rule_name: Annotated[list[str] | None, Query(alias="rule_name[]")] = None,
        rule_group: Annotated[list[str] | None, Query(alias="rule_group[]")] = None,
        file: Annotated[list[str] | None, Query(alias="file[]")] = None,
        exclude_alerts: str = "",
        match: Annotated[list[str] | None, Query(alias="match[]")] = None,
        group_limit: str = "",
        group_next_token: str = "",
    ) -> JSONResponse:
        try:
            wanted = _Wanted(
                kind=_wanted_kind(type),
                names=rule_name or (),
                matcher_sets=[selected("match[]", text).matchers for text in match or ()],
            )
            without_alerts = _flag("exclude_alerts", exclude_alerts)
            limit = _group_limit(group_limit, group_next_token)
            chosen = [
                (group, inside)
                for group in await _told(status)
                if (not rule_group or group.group.name in rule_group)
                and (not file or group.group.file in file)
                and (inside := [rule for rule in group.rules if wanted.has(rule.rule)])
            ]
            page, token = _page(chosen, limit, group_next_token)
        except BadInput as error:
            return _bad_data(error)
        shown = [_group(group, [_rule(rule, without_alerts) for rule in inside]) for group, inside in page]
        return _success({"groups": shown} | ({"groupNextToken": token} if token else {}))

    @routes.get("/alerts", response_class=JSONResponse, summary="Pending and firing alerts")
    async def alerts() -> JSONResponse:
        found = [alert for group in await _told(status) for rule in group.rules for alert in _alerts(rule)]
        return _success({"alerts": found})

    return routes


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which rules are asked for. Labels are matched as they stand in the file, not expanded."""

    kind: str
    names: Sequence[str]
    matcher_sets: Sequence[Sequence[Matcher]]

    def has(self, rule: AlertingRule | RecordingRule) -> bool:
        labels = rule.plain_labels
        return (
            (not self.kind or isinstance(rule, AlertingRule) == (self.kind == "alert"))
            and (not self.names or rule.name in self.names)
            and (not self.matcher_sets or any(matches_all(each, labels) for each in self.matcher_sets))
        )


async def _told(status: Status) -> Sequence[GroupStatus]:
    told = status()
    return told if isinstance(told, Sequence) else await told


def _wanted_kind(kind: str) -> str:
    if kind.lower() not in ("", "alert", "record"):
        raise BadInput(f'invalid parameter "type": not supported value "{kind.lower()}"')
    return kind.lower()


def _flag(name: str, text: str) -> bool:
    if text.lower() in ("", "0", "f", "false"):
        return False
    if text.lower() in ("1", "t", "true"):
        return True
    raise BadInput(f'invalid parameter "{name}": "{text}" is neither true nor false')


def _group_limit(text: str, token: str) -> int | None:
    if token and not text:
        raise BadInput(
            'invalid parameter "group_next_token": group_limit needs to be present in order to paginate over the groups'
        )
    if not text:
        return None
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise BadInput(f'invalid parameter "group_limit": group_limit needs to be a valid number, not "{text}"')
    if int(text) <= 0:
        raise BadInput('invalid parameter "group_limit": group_limit needs to be greater than 0')
    return int(text)


def _page(groups: Sequence[_Chosen], limit: int | None, token: str) -> tuple[Sequence[_Chosen], str]:
    """At most `limit` groups (None: all) beginning with the one `token` names, and the token of the one after them."""
    tokens = [hashlib.sha256(group.group.key.encode()).hexdigest() for group, _ in groups]
    if token and token not in tokens:
        raise BadInput(
            f"invalid parameter \"group_next_token\": invalid group_next_token '{token}'. were rule groups changed?"
        )
    start = tokens.index(token) if token else 0
    end = len(groups) if limit is None else start + limit
    return groups[start:end], tokens[end] if end < len(groups) else ""


def _group(status: GroupStatus, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": status.group.name,
        "file": status.group.file,
        "rules": rules,
        "interval": _number(status.group.interval),
        "limit": status.group.limit,
        "evaluationTime": _number(status.seconds),
        "lastEvaluation": _time(status.evaluated_at),
    }


def _rule(status: RuleStatus, without_alerts: bool) -> dict[str, Any]:
    rule = status.rule
    health = {
        "health": status.health,
        **({"lastError": status.last_error} if status.last_error else {}),
        "evaluationTime": _number(status.seconds),
        "lastEvaluation": _time(status.evaluated_at),
    }
    if not isinstance(rule, AlertingRule):
        labels = {"labels": rule.plain_labels.to_dict()} if rule.plain_labels else {}
        return {"name": rule.name, "query": rule.shown, **_asks(rule), **labels, **health, "type": "recording"}
    return {
        "state": _state(status),
        "name": rule.name,
        "query": rule.shown,
        **_asks(rule),
        "duration": _number(rule.hold),
        "keepFiringFor": _number(rule.keep_firing_for),
        "labels": {name: template.text for name, template in sorted(rule.labels) if template.text},
        "annotations": {name: template.text for name, template in sorted(rule.annotations) if template.text},
        "alerts": None if without_alerts else _alerts(status),
        **health,
        "type": "alerting",
    }


def _asks(rule: AlertingRule | RecordingRule) -> dict[str, object]:
    return {} if isinstance(rule.question, str) else {"asks": written(rule.question)}


def _state(status: RuleStatus) -> str:
    if status.evaluated_at is None:
        return "unknown"
    states = {alert.state for alert in status.alerts}
    if AlertState.FIRING in states:
        return "firing"
    return "pending" if AlertState.PENDING in states else "inactive"


def _alerts(status: RuleStatus) -> list[dict[str, Any]]:
    ordered = sorted(status.alerts, key=lambda alert: alert.labels.pairs)
    return [_alert(alert, status.keep_firing_since) for alert in ordered]


def _alert(alert: Alert, keep_firing_since: Mapping[str, float]) -> dict[str, Any]:
    since = keep_firing_since.get(alert.fingerprint)
    return {
        "labels": alert.labels.to_dict(),
        "annotations": alert.annotations.to_dict(),
        "state": alert.state.value,
        "activeAt": _time(alert.active_at),
        **({} if since is None else {"keepFiringSince": _time(since)}),
        "value": format_float(alert.value, "e"),
    }


def _number(value: float) -> float | int:
    """Go writes 60, where Python would write 60.0."""
    return int(value) if value == int(value) else value


def _time(at: float | None) -> str:
    """RFC 3339 in UTC as Go writes it: no needless zeros; its zero time for never."""
    if at is None:
        return "0001-01-01T00:00:00Z"
    when = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=round(at * 1000))
    fraction = f"{when.microsecond:06d}".rstrip("0")
    return f"{when:%Y-%m-%dT%H:%M:%S}{'.' + fraction if fraction else ''}Z"


def _success(data: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"status": "success", "data": data})


def _bad_data(error: BadInput) -> JSONResponse:
    return JSONResponse({"status": "error", "errorType": "bad_data", "error": str(error)}, error.status)
