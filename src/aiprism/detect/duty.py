"""Rule evaluation as a duty: groups at work while this process leads it, told from what the leader keeps otherwise.

In: the groups of the loaded files, and how to build `RuleGroups`. Out: `start` and `stop` for leadership, `reload`, and
`status` for whoever asks, in every process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aiprism.detect.groups import GroupStatus, RuleGroups, RuleStatus
from aiprism.detect.rules import Group, Rule
from aiprism.model.alerts import AlertState
from aiprism.store.alertstates import AlertStates, Kept, KeptAlert


class RuleDuty:
    """The loaded groups. Each term of leadership begins with the alerts the last one kept."""

    def __init__(
        self, groups: Sequence[Group], build: Callable[[Sequence[Group]], RuleGroups], states: AlertStates
    ) -> None:
        self._groups, self._build, self._states = groups, build, states
        self._running: RuleGroups | None = None

    @property
    def groups(self) -> Sequence[Group]:
        """The loaded groups."""
        return self._groups

    async def start(self) -> None:
        """Evaluate from now on."""
        running = self._build(self._groups)
        await running.start()
        self._running = running

    async def stop(self) -> None:
        """Evaluate no more; the states stay kept for whoever is next."""
        running, self._running = self._running, None
        if running:
            await running.stop()

    async def reload(self, groups: Sequence[Group]) -> None:
        """Go on with `groups`."""
        self._groups = groups
        if self._running:
            await self._running.reload(groups)

    async def status(self) -> Sequence[GroupStatus]:
        """How every group stands: as evaluated here, or as another process has kept it."""
        if self._running:
            return self._running.status()
        return standing(self._groups, await asyncio.to_thread(self._states.load))


def standing(groups: Sequence[Group], kept: Kept) -> Sequence[GroupStatus]:
    """The groups with the alerts that are kept; what else their leader knows is not."""
    ordered = sorted(groups, key=lambda group: (group.file, group.name))
    return tuple(
        GroupStatus(
            group,
            tuple(_standing(rule, kept.alerts.get(rule.key, ())) for rule in group.rules),
            kept.evaluated_at.get(group.key),
        )
        for group in ordered
    )


def _standing(rule: Rule, kept: Sequence[KeptAlert]) -> RuleStatus:
    active = [each for each in kept if each.alert.state is not AlertState.RESOLVED]
    since = {each.alert.fingerprint: each.keep_firing_since for each in active if each.keep_firing_since is not None}
    return RuleStatus(rule, alerts=tuple(each.alert for each in active), keep_firing_since=since)
