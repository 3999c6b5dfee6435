"""Which metrics, labels and values make the most series."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aiprism.model.labels import Labels
from aiprism.store.cardinality import Cardinality, Count
from aiprism.store.series import SeriesIndex

SETS = st.lists(
    st.builds(
        lambda name, pairs: Labels({"__name__": name, **pairs}),
        st.sampled_from(["up", "down", "größe"]),
        st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "1", "22", "333"]), max_size=3),
    ),
    max_size=30,
)


@given(SETS, st.integers(1, 8))
def test_the_counts_kept_are_those_of_the_label_sets(sets: list[Labels], limit: int) -> None:
    index = SeriesIndex()
    for labels in sets:
        index.admit([labels], 0.0)
    pairs = Counter((name, value) for labels in set(sets) for name, value in labels.pairs)
    values = Counter(name for name, _ in pairs)
    size: Counter[str] = Counter()
    for (name, value), count in pairs.items():
        size[name] += count * len(value.encode())

    def top(counts: dict[str, int]) -> list[int]:
        return sorted(counts.values(), reverse=True)[:limit]

    found = index.cardinality(limit)
    assert (found.series, found.label_pairs) == (len(set(sets)), len(pairs))
    names = {value: count for (name, value), count in pairs.items() if name == "__name__"}
    assert [each.value for each in found.series_by_metric] == top(names)
    assert all(names[each.name] == each.value for each in found.series_by_metric)
    assert [each.value for each in found.values_by_label] == top(values)
    assert [each.value for each in found.bytes_by_label] == top(size)
    joined = {f"{name}={value}": count for (name, value), count in pairs.items()}
    assert [each.value for each in found.series_by_pair] == top(joined)
    assert all(joined[each.name] == each.value for each in found.series_by_pair)


def test_an_empty_index_has_nothing_heavy() -> None:
    assert SeriesIndex().cardinality(10) == Cardinality(0, 0, None, None, [], [], [], [])


def test_a_series_admitted_twice_counts_once() -> None:
    index = SeriesIndex()
    for _ in range(2):
        index.admit([Labels({"__name__": "up", "job": "api"})], 0.0)
    assert index.cardinality(10).series_by_metric == [Count("up", 1)]
    assert index.cardinality(10).series_by_pair == [Count("__name__=up", 1), Count("job=api", 1)]
