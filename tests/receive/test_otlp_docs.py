"""docs/otlp.md tells the truth: its example becomes what it says."""

from __future__ import annotations

import re
from pathlib import Path

from aiprism.model.labels import Labels
from aiprism.receive.otlp import metrics_request
from aiprism.receive.otlp_metrics import MetricDecoder
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Admitted

PAGE = (Path(__file__).parents[2] / "docs" / "otlp.md").read_text(encoding="utf-8")


def test_the_example_becomes_the_series_it_shows() -> None:
    [sent], [shown] = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("json", "text"))
    index = SeriesIndex()
    decoder = MetricDecoder(lambda sets: Admitted(index.admit(sets, 0.0)))
    batch = decoder.decode(metrics_request(sent.encode(), is_json=True), 0.0).batch
    rows = zip(index.labels(batch.positions), batch.values.tolist(), batch.ts_ms.tolist(), strict=True)
    lines = []
    for pairs, value, ts_ms in rows:
        labels = Labels(pairs)
        inner = ", ".join(f'{name}="{text}"' for name, text in labels.without("__name__").pairs)
        lines.append(f"{labels.name}{{{inner}}} {value:g} @{ts_ms}")
    assert lines == shown.splitlines()
