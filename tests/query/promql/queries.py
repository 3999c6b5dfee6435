"""Queries for the differential test: some by hand, by topic, and a grammar that makes up others."""

from __future__ import annotations

import random
from collections.abc import Callable

GAUGES = ("temperature", "queue", "steady", "odd", "sparse", "up")
COUNTERS = ("requests_total", "latency_seconds_count")
DURATIONS = ("1m", "2m", "5m", "7m30s", "12m")
OVER_TIME = (*("sum", "avg", "min", "max", "count", "last", "present", "stddev", "stdvar"),)
MATHS = (
    "abs",
    "ceil",
    "floor",
    "exp",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "sgn",
    "sin",
    "cos",
    "atan",
    "deg",
    "rad",
    "round",
)
DATES = ("minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year")

BY_HAND: dict[str, list[str]] = {
    "selectors": [
        "up",
        'requests_total{job="api"}',
        'requests_total{status!="200",job=~"a.*|w"}',
        'requests_total{status!~"4..|5..",instance=~"[ab]:.*"}',
        '{__name__=~"up|queue",job="web"}',
        '{job="web",instance="c:10"}',
        'requests_total{nothing=""}',
        'requests_total{nothing!="",job="api"}',
        'requests_total{path=~"/x|/y"}',
        "nothing_at_all",
        "up offset 5m",
        "up offset -3m",
        "up @ 1700001000",
        "up @ 1700001000 offset 3m",
        "up @ end()",
        "up @ start() offset -2m",
        "odd",
        "sparse",
        "sparse offset 4m",
        "requests_total[1m]",
        "odd[3m]",
        "odd[2m] @ 1700001500 offset 30s",
        "sparse[10m:2m]",
        "up[4m:30s] offset 1m",
    ],
    "ranges": [
        f"{function}({metric}[{duration}])"
        for function in ("rate", "increase", "irate", "delta", "idelta", "deriv", "changes", "resets")
        for metric in ("requests_total", "temperature", "odd", "sparse", "steady")
        for duration in ("1m", "5m")
    ],
    "over_time": [
        f"{function}_over_time({metric}[{duration}])"
        for function in (*OVER_TIME, "absent")
        for metric in ("temperature", "odd", "sparse", 'requests_total{job="api"}', "nope")
        for duration in ("1m", "6m")
    ]
    + [
        f"quantile_over_time({q}, {metric}[5m])"
        for q in ("0", "0.25", "0.9", "1", "-1", "2", "NaN")
        for metric in ("temperature", "odd")
    ]
    + ["stddev_over_time(steady[5m])", "sum_over_time(queue[5m])", "avg_over_time((queue)[5m:1m])"],
    "predictions": [
        "predict_linear(temperature[5m], 600)",
        "predict_linear(queue[12m], -600)",
        "predict_linear(steady[5m], 600)",
        "predict_linear(temperature[5m] offset 2m, 60)",
        "predict_linear(temperature[5m:1m], time() - 1700000000)",
        "deriv(requests_total[10m])",
        "deriv(temperature[7m:20s])",
    ],
    "offsets": [
        f"{function}({metric}[4m] {modifier})"
        for function, metric in (("rate", "requests_total"), ("avg_over_time", "temperature"), ("delta", "queue"))
        for modifier in ("offset 3m", "offset -3m", "@ 1700001200", "@ end()", "@ start() offset 1m")
    ],
    "subqueries": [
        "max_over_time(rate(requests_total[2m])[10m:1m])",
        "min_over_time(rate(requests_total[2m])[10m:])",
        "avg_over_time(sum by (job) (rate(requests_total[3m]))[8m:30s])",
        "rate(sum(requests_total)[5m:30s])",
        "increase(requests_total[5m:1m])",
        "sum_over_time((queue > 20)[6m:20s])",
        "count_over_time((up == 0)[10m:15s])",
        "last_over_time(vector(time())[5m:50s])",
        "max_over_time(max_over_time(temperature[2m])[10m:1m])",
        "max_over_time(deriv(temperature[2m])[10m:1m] @ 1700001500)",
        "changes(up[10m:20s])",
        "quantile_over_time(0.5, avg by (job) (temperature)[10m:1m])",
        "absent_over_time(nope[5m:1m])",
        'stdvar_over_time(scalar(queue{job="api",instance="a:1"})[5m:20s])'.replace(
            "scalar(", "vector(scalar("
        ).replace(")[", "))["),
    ],
    "aggregation": [
        f"{op}{grouping}({inner})"
        for op in ("sum", "avg", "min", "max", "count", "group")
        for grouping in ("", " by (job) ", " without (instance, path) ", " by (job, nothing) ", " by () ")
        for inner in ("requests_total", "temperature", "odd")
    ]
    + [f"{op}{by}(temperature)" for op in ("stddev", "stdvar") for by in ("", " by (job) ", " without (job) ")]
    + [
        f"{op}({k}, {inner})"
        for op in ("topk", "bottomk")
        for k in (1, 3, 100, 0, -1)
        for inner in ("temperature", "rate(requests_total[5m])")
    ]
    + [f"topk by (job) (2, {inner})" for inner in ("temperature", "requests_total")]
    + [f"quantile by (job) ({q}, temperature)" for q in ("0.1", "0.5", "1", "7", "-7", "NaN")]
    + [
        "count_values('v', up)",
        "count_values by (job) ('v', queue)",
        "count_values without (instance) ('job', up)",
        "count_values('v', odd)",
        "sum(sum by (job) (up)) / count(up)",
        "sum by (job) (temperature > 30)",
        "quantile(scalar(limit{job='api'}) / 100, temperature)",
        "topk(2, nope)",
        "sum(nope)",
        "count(up == 0)",
    ],
    "operators": [
        "1 + 2 * 3 ^ 2 % 5",
        "-2 ^ 2",
        "2 ^ 3 ^ 2",
        "-temperature",
        "+temperature",
        "1 < bool 2",
        "2 atan2 3",
        "-(1)",
        "1 / 0",
        "-1 / 0",
        "0 / 0",
        "5 % -3",
        "-5 % 3",
        *(f"temperature {op} 3" for op in ("+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=")),
        *(f"20 {op} temperature" for op in ("+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=")),
        *(f"temperature {op} bool 20" for op in ("==", "!=", "<", "<=", ">", ">=")),
        *(f"temperature {op} queue" for op in ("+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=")),
        *(f"temperature {op} bool queue" for op in ("==", "!=", "<", "<=", ">", ">=")),
        "sum by (instance) (temperature atan2 3)",
        "sum by (instance) (20 atan2 temperature)",
        "sum by (instance) (temperature atan2 queue)",
        "temperature + on (job, instance) up",
        "temperature + ignoring (version, goversion) build_info",
        "up * on (job, instance) group_left (version) build_info",
        "build_info * on (job, instance) group_right (version) up",
        "requests_total / ignoring (status, path) group_left () up",
        "requests_total / ignoring (status, path) up",
        "requests_total / on (job) limit",
        "requests_total / on (job) group_left () limit",
        "limit < on (job) group_right () temperature",
        "temperature > on (job) group_left () limit",
        "temperature > bool on (job) group_left () limit",
        "up == on (job) group_left (nothing) limit",
        "up + on () up",
        "sum(up) + on () group_right () up",
        "temperature and queue",
        "temperature and on (job) up == 0",
        "temperature and on (instance) (up == 0)",
        "temperature unless queue > 20",
        "temperature unless on (job, instance) (up == 0)",
        "temperature or queue",
        "(temperature > 30) or on (job) limit",
        "up or on () vector(1)",
        "nope or vector(1)",
        "nope or up",
        "up and nope",
        "up unless nope",
        "up + nope",
        "odd + odd",
        "odd == odd",
        "odd != odd",
        "abs({__name__=~'up|queue'})",
        "rate({__name__=~'requests_total|latency_seconds_count'}[5m])",
        "rate({__name__=~'up|queue'}[5m])",
        "{__name__=~'up|queue'} + 1",
        "{__name__=~'up|queue'} > 1",
        "-{__name__=~'up|queue'}",
        "sum by (__name__) ({__name__=~'up|queue'})",
    ],
    "functions": [
        *(
            f"{function}(temperature)"
            for function in (*MATHS, "asin", "acos", "tan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh")
        ),
        *(f"{function}(odd)" for function in ("abs", "ceil", "sgn", "ln", "sqrt", "round")),
        *(f"{function}()" for function in DATES),
        *(f"{function}(vector(1709251199 + 86400 * 31 * {k}))" for function in DATES for k in (0, 3, 11)),
        *(f"{function}(requests_total)" for function in DATES[:3]),
        "round(temperature, 5)",
        "round(temperature, 0.1)",
        "clamp(temperature, 10, 20)",
        "clamp(temperature, 20, 10)",
        "clamp_min(temperature, 10)",
        "clamp_max(temperature, scalar(limit{job='web'}))",
        "clamp(odd, -1, 1)",
        "time()",
        "pi()",
        "vector(time())",
        "scalar(temperature)",
        "scalar(temperature{job='api',instance='a:1'})",
        "scalar(nope)",
        "timestamp(up)",
        "timestamp(up offset 1m)",
        "timestamp(sparse)",
        "timestamp(up + 0)",
        "timestamp(up @ 1700001000)",
        "timestamp(timestamp(up))",
        "absent(up)",
        "absent(nope)",
        "absent(nope{a='1',b!='2',c=~'3'})",
        "absent(nope{a='1',a='2',b='3'})",
        "absent(sum(nope{a='1'}))",
        "absent(sparse)",
        "absent(odd{kind='stale'})",
        "sort(temperature)",
        "sort_desc(temperature)",
        "label_replace(up, 'host', '$1', 'instance', '(.*):.*')",
        "label_replace(up, 'host', '${1}-${2}$3', 'instance', '(.*):(.*)')",
        "label_replace(up, 'job', '', 'job', 'api')",
        "label_replace(up, 'host', 'x', 'nothing', '')",
        "label_replace(up, 'host', '$1', 'instance', 'nomatch(.*)')",
        "label_replace(up, '__name__', 'down', 'job', 'web')",
        "label_replace(up, 'instance', '', '', '')",
        "label_join(up, 'both', '-', 'job', 'instance', 'nothing')",
        "label_join(up, 'job', ',')",
        "holt_winters(temperature[5m], 0.3, 0.7)",
        "holt_winters(sparse[12m], 0.5, 0.5)",
        "holt_winters(temperature[5m], 1, 0.5)",
        '"a text"',
        "'another'",
        "12.5",
        "NaN",
        "Inf",
    ],
    "histograms": [
        *(
            f"histogram_quantile({q}, latency_seconds_bucket)"
            for q in ("0", "0.1", "0.5", "0.9", "0.999", "1", "-1", "2", "NaN")
        ),
        "histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))",
        "histogram_quantile(0.5, sum by (le, job) (rate(latency_seconds_bucket[5m])))",
        "histogram_quantile(0.5, sum by (le) (rate(latency_seconds_bucket[5m])))",
        "histogram_quantile(0.5, latency_seconds_bucket{le!='+Inf'})",
        "histogram_quantile(0.5, latency_seconds_bucket{le=~'0.1|[+]Inf'})",
        "histogram_quantile(0.5, latency_seconds_bucket{le='+Inf'})",
        "histogram_quantile(0.5, latency_seconds_bucket > 9000)",
        "histogram_quantile(0.5, temperature)",
        "histogram_quantile(scalar(up{job='api',instance='a:1'}) / 2, latency_seconds_bucket)",
        "histogram_quantile(0.5, label_replace(latency_seconds_bucket, 'le', '1.0', 'le', '0.5'))",
        "histogram_quantile(0.2, -latency_seconds_bucket)",
    ],
}


def generated(chance: random.Random, count: int) -> list[str]:
    """`count` expressions of the grammar below, mostly such that have an answer."""
    return [_vector(chance, 3) for _ in range(count)]


def _vector(chance: random.Random, depth: int) -> str:
    if depth == 0:
        return _selector(chance, chance.choice((*GAUGES, *COUNTERS)))
    return chance.choices(_FORMS, _WEIGHTS)[0](chance, depth)


def _selector(chance: random.Random, metric: str) -> str:
    matchers: tuple[str, ...] = ()
    if metric not in ("odd", "sparse", "steady"):
        matchers = chance.choices(
            ((), ('job="api"',), ('job!="api"',), ('instance=~"[ab].*"',), ('job=~"a.*|web"', 'instance!~"a.*"')),
            (4, 1, 1, 1, 1),
        )[0]
    modifier = chance.choices(("", " offset 2m", " offset -1m", " @ 1700001300", " @ end()"), (12, 1, 1, 1, 1))[0]
    return f"{metric}{{{','.join(matchers)}}}{modifier}" if matchers else f"{metric}{modifier}"


def _window(chance: random.Random, metrics: tuple[str, ...], depth: int) -> str:
    if depth > 1 and chance.random() < 0.2:
        # What counts up must be a real counter: rounding errors of computed ones would pass for resets.
        inner = _selector(chance, chance.choice(metrics)) if metrics is COUNTERS else _vector(chance, depth - 2)
        return f"({inner})[{chance.choice(DURATIONS)}:{chance.choice(('20s', '1m', ''))}]"
    name, _, modifier = _selector(chance, chance.choice(metrics)).partition(" ")
    return f"{name}[{chance.choice(DURATIONS)}]{' ' if modifier else ''}{modifier}"


def _rate(chance: random.Random, depth: int) -> str:
    return f"{chance.choice(('rate', 'increase', 'irate', 'resets'))}({_window(chance, COUNTERS, depth)})"


def _over_time(chance: random.Random, depth: int) -> str:
    function = chance.choice((*(f"{name}_over_time" for name in OVER_TIME), "delta", "idelta", "changes", "deriv"))
    return f"{function}({_window(chance, GAUGES, depth)})"


def _quantile_over_time(chance: random.Random, depth: int) -> str:
    return f"quantile_over_time({chance.choice((0.1, 0.5, 0.99))}, {_window(chance, GAUGES, depth)})"


def _aggregation(chance: random.Random, depth: int) -> str:
    grouping = chance.choice(("", " by (job) ", " by (job, instance) ", " without (instance) ", " by (status) "))
    op = chance.choice(("sum", "avg", "min", "max", "count", "group"))
    return f"{op}{grouping}({_vector(chance, depth - 1)})"


def _arithmetic(chance: random.Random, depth: int) -> str:
    number = chance.choice(("2", "0.5", "-3", "100", "time()"))
    op = chance.choice(("+", "-", "*", "/", "%", ">", "<=", "== bool", "> bool"))
    sides = [f"({_vector(chance, depth - 1)})", number]
    chance.shuffle(sides)
    return f" {op} ".join(sides)


def _pair(chance: random.Random, depth: int) -> str:
    op = chance.choice(("+", "-", "*", "/", ">", "<= bool", "and", "or", "unless"))
    matching = chance.choice((" on (job, instance) ", " on (job) ", " ignoring (instance) ", " "))
    if op not in ("and", "or", "unless") and chance.random() < 0.3:
        matching += f"group_{chance.choice(('left', 'right'))} () " if matching.strip() else ""
    sides = [_vector(chance, depth - 1), _vector(chance, depth - 1)]
    if chance.random() < 0.5:  # such that one side is unique
        sides[1] = f"max by (job, instance) ({sides[1]})"
    return f"({sides[0]}) {op}{matching}({sides[1]})"


def _function(chance: random.Random, depth: int) -> str:
    return f"{chance.choice(MATHS)}({_vector(chance, depth - 1)})"


def _label_function(chance: random.Random, depth: int) -> str:
    template = chance.choice(
        (
            "label_replace({}, 'host', '$1', 'instance', '(.*):.*')",
            "label_join({}, 'both', '/', 'job', 'instance')",
            "clamp({}, -1, 40)",
            "absent({})",
            "sort({})",
            "vector(scalar({}))",
            "-({})",
            "timestamp({})",
        )
    )
    return template.format(_vector(chance, depth - 1))


def _quantile(chance: random.Random, depth: int) -> str:
    grouping = chance.choice(("", "by (job) ", "by (job, instance) "))
    inner = f"sum by (le, job, instance) (rate(latency_seconds_bucket[{chance.choice(DURATIONS)}]))"
    return f"max {grouping}(histogram_quantile({chance.choice((0.1, 0.5, 0.95))}, {inner}))"


_FORMS: tuple[Callable[[random.Random, int], str], ...] = (
    *(_rate, _over_time, _quantile_over_time, _aggregation, _arithmetic, _pair, _function, _label_function, _quantile),
)
_WEIGHTS = (5, 5, 1, 5, 4, 4, 2, 2, 1)
