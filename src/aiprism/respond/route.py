"""Who is told about an alert: `alertmanager.yml` as Alertmanager 0.25 reads it, and its routing tree.

In: the file, unmodified. Out: `Routing`, which answers `receivers_for(labels)` and hands out each receiver's
integrations, inhibit rules, time intervals, and warnings that name what is accepted but not done yet (channels we do not
speak). Acting on them is left to `group`, `mute` and `notify`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from aiprism import yamlfile
from aiprism.httpconfig import Secret, http_options, is_web_address, secret
from aiprism.model.labels import Matcher, MatchOp, matches_all
from aiprism.respond import matcher, template
from aiprism.respond.channels import (
    appriser,
    discord,
    email,
    incidentio,
    jira,
    matrix,
    mattermost,
    msteams,
    opsgenie,
    pagerduty,
    pushover,
    rocketchat,
    slack,
    sns,
    telegram,
    twilio,
    victorops,
    webex,
    webhook,
    wechat,
)  # fmt: skip
from aiprism.respond.channels.post import Globals, Integration
from aiprism.respond.mute.hours import TimeInterval
from aiprism.respond.mute.hours import read as read_intervals
from aiprism.respond.mute.muting import InhibitRule, hours_muting
from aiprism.respond.shown import shown
from aiprism.yamlfile import Node

Read: TypeAlias = Callable[[Node, str, Globals], Integration]

_CHANNELS: Mapping[str, Read] = {
    "webhook_configs": webhook.read,
    "slack_configs": slack.read,
    "pagerduty_configs": pagerduty.read,
    "email_configs": email.read,
    "opsgenie_configs": opsgenie.read,
    "victorops_configs": victorops.read,
    "wechat_configs": wechat.read,
    "pushover_configs": pushover.read,
    "sns_configs": sns.read,
    "telegram_configs": telegram.read,
    "discord_configs": discord.read,
    "webex_configs": webex.read,
    "msteams_configs": msteams.read,
    "msteamsv2_configs": msteams.read_workflow,
    "rocketchat_configs": rocketchat.read,
    "jira_configs": jira.read,
    "incidentio_configs": incidentio.read,
    "mattermost_configs": mattermost.read,
    # aiprism's own: Alertmanager has no such channels.
    "twilio_configs": twilio.read,
    "matrix_configs": matrix.read,
    "apprise_configs": appriser.read,
}
_NO_WEB_ADDRESS = {"email", "sns", "apprise"}
_GLOBAL = (
    "resolve_timeout", "http_config", "smtp_from", "smtp_hello", "smtp_smarthost", "smtp_auth_username",
    "smtp_auth_password", "smtp_auth_password_file", "smtp_auth_secret", "smtp_auth_secret_file", "smtp_auth_identity",
    "smtp_require_tls", "smtp_force_implicit_tls", "smtp_tls_config", "slack_api_url", "slack_api_url_file",
    "slack_app_token", "slack_app_token_file", "slack_app_url",
    "pagerduty_url", "opsgenie_api_url", "opsgenie_api_key", "opsgenie_api_key_file", "wechat_api_url",
    "wechat_api_secret", "wechat_api_secret_file", "wechat_api_corp_id", "victorops_api_url", "victorops_api_key",
    "victorops_api_key_file", "telegram_api_url", "telegram_bot_token", "telegram_bot_token_file", "webex_api_url",
    "jira_api_url", "rocketchat_api_url", "rocketchat_token", "rocketchat_token_file", "rocketchat_token_id",
    "rocketchat_token_id_file", "mattermost_webhook_url", "mattermost_webhook_url_file",
)  # fmt: skip
_ROUTE = (
    "receiver", "group_by", "continue", "match", "match_re", "matchers", "group_wait", "group_interval",
    "repeat_interval", "mute_time_intervals", "active_time_intervals", "routes",
)  # fmt: skip
_OPS = (MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.REGEX, MatchOp.NOT_REGEX)
_INHIBIT = ("target_match", "target_match_re", "target_matchers", "source_match", "source_match_re", "source_matchers",
            "equal")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the tree, with what it inherits from above filled in. Waits are seconds."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    proceed: bool = False  # `continue`: siblings are tried after this one matched
    routes: tuple[Route, ...] = ()
    group_by: tuple[str, ...] = ()
    group_wait: float = 30.0
    group_interval: float = 300.0
    repeat_interval: float = 4 * 3600.0
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    key: str = "{}"  # the matchers on the way to it, as Alertmanager writes them: {}/{severity="critical"}
    id: str = "{}#1"  # the key with its number among the routes of the same key

    def matching(self, labels: Mapping[str, str]) -> tuple[Route, ...]:
        """The deepest routes that take an alert with these labels, in order; empty when this node does not match.

        A child that matches ends the search among its siblings unless it says `continue`; a node none of whose
        children matches takes the alert itself (Alertmanager, "Routing").
        """
        if not matches_all(self.matchers, labels):
            return ()
        found: list[Route] = []
        for child in self.routes:
            taken = child.matching(labels)
            found += taken
            if taken and not child.proceed:
                break
        return tuple(found) or (self,)

    def walk(self) -> Iterator[Route]:
        """This route and all below it."""
        yield self
        for child in self.routes:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Routing:
    """A routing tree and the integrations of its receivers; `warnings` are for people to read."""

    root: Route
    receivers: Mapping[str, tuple[Integration, ...]]
    warnings: tuple[str, ...] = ()
    file: str = ""
    inhibit: tuple[InhibitRule, ...] = ()
    intervals: Mapping[str, tuple[TimeInterval, ...]] = field(default_factory=dict)
    resolve_timeout: float = 300.0  # seconds after which an alert is over whose sender named no end
    text: str = ""  # the file, with secrets hidden

    def muting(self, route: Route, now: float) -> tuple[str, ...]:
        """The names of the time intervals that keep a route quiet at `now`."""
        return hours_muting(route.mute_time_intervals, route.active_time_intervals, self.intervals, now)

    def receivers_for(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The receivers of an alert with these labels, one for each route that takes it (so a name may repeat)."""
        return tuple(route.receiver for route in self.root.matching(labels))

    def receivers_of(self, label_sets: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
        """Everyone who is told about any of these, each once, in order."""
        return tuple(dict.fromkeys(name for labels in label_sets for name in self.receivers_for(labels)))

    def integrations(self, receiver: str) -> tuple[Integration, ...]:
        """The integrations of a receiver; none when the file no longer knows it."""
        return self.receivers.get(receiver, ())


def nobody() -> Routing:
    """The routing of someone who configured none: one receiver without integrations, and a warning that says so."""
    warning = "no alertmanager.yml is configured (respond.alertmanager): incidents are recorded, nobody is told"
    return Routing(Route("nobody"), {"nobody": ()}, (warning,))


def load(path: Path) -> Routing:
    """The routing in `path`; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path))


def read(root: Node) -> Routing:
    """The routing in an alertmanager.yml document."""
    root.fields("global", "templates", "route", "inhibit_rules", "receivers", "mute_time_intervals", "time_intervals")
    if not root["route"]:
        raise root.error("no route: an alertmanager.yml needs `route` with a `receiver`")
    warnings: list[str] = []
    defaults = replace(_globals(root["global"]), library=_library(root["templates"], warnings))
    receivers = _receivers(root["receivers"], defaults, warnings)
    intervals = _intervals(root)
    tree = _numbered(_route(root["route"], None, receivers, intervals), {})
    return Routing(
        root=tree,
        receivers=receivers,
        warnings=tuple(warnings),
        file=root.file,
        inhibit=tuple(_inhibit(rule) for rule in root["inhibit_rules"].items()),
        intervals=intervals,
        resolve_timeout=root["global"]["resolve_timeout"].seconds(300.0),
        text=shown(root),
    )


# -- the tree --------------------------------------------------------------------------------------------------------


def _route(node: Node, parent: Route | None, receivers: Mapping[str, object], intervals: Collection[str]) -> Route:
    node.fields(*_ROUTE)
    if parent is None:
        _check_root(node)
    above = parent or Route(receiver="")
    receiver = node["receiver"].text(above.receiver)
    if receiver not in receivers:
        raise node["receiver"].error(f"undefined receiver {receiver!r}; known: {', '.join(receivers) or 'none'}")
    matchers = _matchers(node)
    route = Route(
        receiver=receiver,
        matchers=matchers,
        proceed=node["continue"].flag(False),
        group_by=_group_by(node["group_by"]) if node["group_by"] else above.group_by,
        group_wait=node["group_wait"].seconds(above.group_wait),
        group_interval=_nonzero(node, "group_interval", above.group_interval),
        repeat_interval=_nonzero(node, "repeat_interval", above.repeat_interval),
        mute_time_intervals=_known_intervals(node["mute_time_intervals"], intervals),
        active_time_intervals=_known_intervals(node["active_time_intervals"], intervals),
        key=_text(matchers) if parent is None else f"{parent.key}/{_text(matchers)}",
    )
    children = tuple(_route(child, route, receivers, intervals) for child in node["routes"].items())
    return replace(route, routes=children)


def _numbered(route: Route, seen: dict[str, int]) -> Route:
    seen[route.key] = seen.get(route.key, 0) + 1
    named = replace(route, id=f"{route.key}#{seen[route.key]}")
    return replace(named, routes=tuple(_numbered(child, seen) for child in route.routes))


def _text(matchers: Iterable[Matcher]) -> str:
    return "{" + ",".join(str(each) for each in matchers) + "}"


def _check_root(node: Node) -> None:
    if not node["receiver"]:
        raise node.error("the root route needs a receiver: everything nobody else takes goes there")
    for key in ("match", "match_re", "matchers", "continue", "mute_time_intervals", "active_time_intervals"):
        if node[key]:
            raise node[key].error(f"the root route must not have {key}: it takes every alert")


def _matchers(node: Node, side: str = "") -> tuple[Matcher, ...]:
    """In Alertmanager's order, which is seen in keys: by name, value and kind."""
    found = (
        *matcher.read_pairs(node[f"{side}match"], MatchOp.EQUAL),
        *matcher.read_pairs(node[f"{side}match_re"], MatchOp.REGEX),
        *matcher.read(node[f"{side}matchers"]),
    )
    return tuple(sorted(found, key=lambda each: (each.name, each.value, _OPS.index(each.op))))


def _inhibit(node: Node) -> InhibitRule:
    node.fields(*_INHIBIT)
    return InhibitRule(
        source=_matchers(node, "source_"),
        target=_matchers(node, "target_"),
        equal=tuple(item.text() for item in node["equal"].items()),
    )


def _group_by(node: Node) -> tuple[str, ...]:
    names = [item.text() for item in node.items()]
    if len(set(names)) < len(names):
        raise node.error("a label stands twice in group_by")
    if "..." in names and len(names) > 1:
        raise node.error("group_by cannot have '...' (all labels) beside other labels")
    return tuple(names)


def _nonzero(node: Node, key: str, default: float) -> float:
    seconds = node[key].seconds(default)
    if seconds <= 0:
        raise node[key].error(f"{key} cannot be zero")
    return seconds


def _intervals(root: Node) -> dict[str, tuple[TimeInterval, ...]]:
    found: dict[str, tuple[TimeInterval, ...]] = {}
    for key in ("mute_time_intervals", "time_intervals"):
        for interval in root[key].items():
            name = interval.fields("name", "time_intervals")["name"].text()
            if name in found:
                raise interval.error(f"time interval {name!r} stands twice")
            found[name] = read_intervals(interval["time_intervals"])
    return found


def _known_intervals(node: Node, known: Collection[str]) -> tuple[str, ...]:
    for item in node.items():
        if item.text() not in known:
            raise item.error(f"undefined time interval {item.text()!r}; known: {', '.join(sorted(known)) or 'none'}")
    return tuple(item.text() for item in node.items())


# -- receivers -------------------------------------------------------------------------------------------------------


def _globals(node: Node) -> Globals:
    node.fields(*_GLOBAL)
    node["resolve_timeout"].seconds(300.0)
    return Globals(
        slack_api_url=secret(node, "slack_api_url"),
        pagerduty_url=node["pagerduty_url"].text(Globals().pagerduty_url),
        http=http_options(node["http_config"]),
        given=node,
    )


def _library(node: Node, warnings: list[str]) -> template.Library:
    found, lost = template.files(node)
    warnings += [_says(node, f"templates: {pattern!r} names no file") for pattern in lost]
    return template.library(found)


def _receivers(node: Node, defaults: Globals, warnings: list[str]) -> dict[str, tuple[Integration, ...]]:
    receivers: dict[str, tuple[Integration, ...]] = {}
    for item in node.items():
        name = item.fields("name", *_CHANNELS)["name"].text()
        if name in receivers:
            raise item.error(f"receiver {name!r} stands twice")
        receivers[name] = tuple(_integrations(item, name, defaults, warnings))
    return receivers


def _integrations(item: Node, receiver: str, defaults: Globals, warnings: list[str]) -> Iterator[Integration]:
    for key, read_one in _CHANNELS.items():
        for entry in item[key].items():
            integration = read_one(entry, receiver, defaults)
            warnings += [_says(entry, f"receiver {receiver!r}: {text}") for text in _doubts(key, entry, integration)]
            yield integration


def _doubts(key: str, entry: Node, integration: Integration) -> Iterator[str]:
    """What will not work as written, of an entry that loads."""
    # Placeholders such as YOUR_SLACK_WEBHOOK_URL are common in files under version control; the rest of the file works.
    if integration.channel not in _NO_WEB_ADDRESS and not is_web_address(_text_of(integration.url)):
        yield f"its {integration.channel} address is no http(s) URL: notifications to it will be refused"

    for alias, real in email.ALIASES.items() if key == "email_configs" else ():
        if entry[alias]:
            yield f"email_configs has no {alias} in Alertmanager, which refuses the file; it is taken for {real}"


def _text_of(address: Secret) -> str:
    try:
        return address.reveal()
    except OSError:  # a file that is mounted later: looked at again with every notification
        return "http://unknown"


def _says(node: Node, text: str) -> str:
    return f"{node.file}:{node.line}: {text}" if node.file else text
