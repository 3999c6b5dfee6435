"""What is scraped, in the form of Prometheus' HTTP API: targets, scrape pools, what relabelling does to a target.

In: how every job and target stands. Out: `/api/v1/targets` and its relatives
(https://prometheus.io/docs/prometheus/latest/querying/api/#targets).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiprism.errors import BadInput
from aiprism.model.labels import METRIC_NAME, Labels, Matcher, MatchOp, matches_all
from aiprism.model.timerange import format_duration
from aiprism.query.promql import PromQL
from aiprism.receive import relabel
from aiprism.receive.scrape import Health, PoolStatus
from aiprism.receive.targets import Target
from aiprism.store.engine import Engine
from aiprism.web.parameters import ALWAYS, Parameters, selected
from aiprism.web.prometheus import Answer, served

_NEVER = "0001-01-01T00:00:00Z"
_SUFFIXES = ("_bucket", "_count", "_sum", "_total")


def router(status: Callable[[], Sequence[PoolStatus]], promql: PromQL, engine: Engine) -> APIRouter:
    """The routes over `status`, which tells how every job stands."""
    routes = APIRouter(prefix="/api/v1", tags=["prometheus"])

    def route(path: str, said: Callable[[Parameters, Sequence[PoolStatus]], object], summary: str) -> None:
        async def serve(request: Request) -> Response:
            pools = status()

            def answer(asked: Parameters) -> Answer:
                return Answer(orjson.dumps(said(asked, pools)))

            return await served(request, lambda asked: engine.run(answer, asked))

        routes.add_api_route(path, serve, methods=["GET"], name=path.strip("/"), summary=summary)

    def metadata(asked: Parameters, pools: Sequence[PoolStatus]) -> object:
        return list(_metadata(asked, pools, promql))

    route("/targets", _targets, "Targets that are scraped, and those that relabelling dropped")
    route("/targets/metadata", metadata, "What targets say of their metrics")
    route("/targets/relabel_steps", _relabel_steps, "What each relabelling rule of a job does to a target")
    route(
        "/scrape_pools",
        lambda asked, pools: {"scrapePools": [pool.job.name for pool in pools]},
        "The names of the jobs",
    )
    return routes


# -- targets ---------------------------------------------------------------------------------------------------------


def _targets(asked: Parameters, pools: Sequence[PoolStatus]) -> object:
    state, wanted = asked.text("state").lower() or "any", asked.text("scrapePool")
    pools = [pool for pool in pools if not wanted or pool.job.name == wanted]
    active = [_active(target, health) for pool in pools for target, health in pool.active]
    dropped = [
        {"discoveredLabels": dict(sorted(labels.items())), "scrapePool": pool.job.name}
        for pool in pools
        for labels in pool.found.dropped
    ]
    counts = {pool.job.name: pool.found.dropped_count for pool in pools}
    return {
        "activeTargets": active if state in ("any", "active") else [],
        "droppedTargets": dropped if state in ("any", "dropped") else [],
        "droppedTargetCounts": counts if state in ("any", "dropped") else {},
    }


def _active(target: Target, health: Health) -> Mapping[str, object]:
    return {
        "discoveredLabels": dict(sorted(target.discovered.items())),
        "labels": target.labels.to_dict(),
        "scrapePool": target.job.name,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": health.error,
        "lastScrape": _NEVER if health.at is None else _time(health.at),
        "lastScrapeDuration": health.seconds,
        "health": health.state,
        "scrapeInterval": format_duration(target.interval),
        "scrapeTimeout": format_duration(target.timeout),
    } | ({"note": health.note} if health.note else {})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- metadata --------------------------------------------------------------------------------------------------------


def _metadata(asked: Parameters, pools: Sequence[PoolStatus], promql: PromQL) -> Iterator[Mapping[str, object]]:
    """What is known of the metrics that a target has now. A sender of the same metrics may have said it. As in Prometheus a
    target is told of whole: `limit` is how much is told before the last one."""
    limit, metric = asked.whole("limit"), asked.text("metric")
    matchers = _matchers(asked.text("match_target"))
    said = {each.metric: each for each in reversed(promql.samples.metadata(metric))}
    left = 2**63 if limit is None or limit < 0 else limit
    for pool in pools:
        for target, _ in pool.active:
            if left <= 0:
                return
            if not matches_all(matchers, target.labels):
                continue
            for family in sorted(_families(target.labels, promql) & said.keys()):
                left -= 1
                about = said[family]
                shown = {"type": about.type, "help": about.help, "unit": about.unit}
                yield {"target": target.labels.to_dict(), **({} if metric else {"metric": family}), **shown}


def _families(labels: Labels, promql: PromQL) -> set[str]:
    of_target = [Matcher(name, MatchOp.EQUAL, value) for name, value in labels.pairs]
    names = promql.samples.index.label_values(METRIC_NAME, of_target, *ALWAYS)
    bare = {name.removesuffix(suffix) for name in names for suffix in _SUFFIXES if name.endswith(suffix)}
    return {*names, *bare}


def _matchers(selector: str) -> Sequence[Matcher]:
    # Of targets, unlike of series, one may ask for all.
    return () if selector.replace(" ", "") in ("", "{}") else selected("match_target", selector).matchers


# -- relabelling -----------------------------------------------------------------------------------------------------


def _relabel_steps(asked: Parameters, pools: Sequence[PoolStatus]) -> object:
    name = asked.text("scrapePool")
    if not name:
        raise BadInput("no scrapePool parameter provided")
    job = next((pool.job for pool in pools if pool.job.name == name), None)
    if job is None:
        raise BadInput(f"unable to get scrape pool: scrape pool {name} not found")
    return {"steps": list(_steps(_labels(asked.text("labels")), job.relabel))}


def _labels(text: str) -> Mapping[str, str]:
    try:
        found = orjson.loads(text)
        if all(isinstance(value, str) for value in found.values()):
            return dict(found)
    except (orjson.JSONDecodeError, AttributeError):
        pass
    raise BadInput('unable to parse parameter "labels": expected a JSON object of texts')


def _steps(labels: Mapping[str, str], rules: Sequence[relabel.Rule]) -> Iterator[Mapping[str, object]]:
    for rule in rules:
        after = relabel.applied(labels, (rule,))
        shown = {
            "source_labels": list(rule.source), "separator": rule.separator, "regex": rule.regex, "modulus": rule.modulus,
            "target_label": rule.target, "replacement": rule.replacement, "action": rule.action,
        }  # fmt: skip
        yield {"rule": shown, "output": None if after is None else dict(Labels(after)), "keep": after is not None}
        if after is None:
            return
        labels = after
