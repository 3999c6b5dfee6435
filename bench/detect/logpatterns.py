"""Templates of log lines beside drain3: how well labelled lines are grouped, and how many lines are mined in a second.

Reads the labelled sets of Loghub (columns LineId, Content, EventId, EventTemplate) from `--sets`, and mines each with one and
the same configuration, ours and drain3's default. Grouping accuracy: share of lines whose group equals the true group as a
set of lines. The lines of all sets, `--times` over with fresh numbers in them, are mined for the speed.

drain3 pins old versions of its dependencies, so it is not one of ours: `uv pip install --target DIR drain3==0.9.11`, and
`--drain3 DIR`.

    python bench/detect/logpatterns.py --sets ../shared/data/loghub [--drain3 DIR] [--times 5]
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from aiprism.detect.logpatterns import mined

Miner = Callable[[Sequence[str]], Sequence[Hashable]]


def ours(lines: Sequence[str]) -> Sequence[Hashable]:
    found: list[int] = mined(["\n".join(lines).encode()]).of_line.tolist()
    return found


def drain3(lines: Sequence[str]) -> Sequence[Hashable]:
    from drain3 import TemplateMiner

    miner = TemplateMiner()
    return [miner.add_log_message(line)["cluster_id"] for line in lines]


def grouping_accuracy(found: Sequence[Hashable], true: Sequence[str]) -> float:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    labels: dict[str, list[int]] = defaultdict(list)
    for at, (group, label) in enumerate(zip(found, true, strict=True)):
        groups[group].append(at)
        labels[label].append(at)
    right = {tuple(members) for members in labels.values()}
    return sum(len(members) for members in groups.values() if tuple(members) in right) / len(found)


def labelled(path: Path) -> tuple[list[str], list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["Content"].replace("\n", " "), row["EventId"]) for row in csv.DictReader(file)]
    return [line for line, _ in rows], [label for _, label in rows]


def renewed(lines: Sequence[str], times: int) -> list[str]:
    """The lines over and over, with other digits, as a day of logs has them."""
    chance = random.Random(1)
    digit = re.compile(r"\d")
    return [digit.sub(lambda _: str(chance.randrange(10)), line) for _ in range(times) for line in lines]


def speed(miner: Miner, lines: Sequence[str]) -> float:
    begun = time.perf_counter()
    miner(lines)
    return len(lines) / (time.perf_counter() - begun)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sets", type=Path, default=Path("../shared/data/loghub"))
    arguments.add_argument("--drain3", type=Path, help="where drain3 was installed")
    arguments.add_argument("--times", type=int, default=5)
    wanted = arguments.parse_args()
    miners: dict[str, Miner] = {"aiprism": ours}
    if wanted.drain3:
        sys.path.append(str(wanted.drain3))
        miners["drain3"] = drain3
    sets = {path.stem: labelled(path) for path in sorted(wanted.sets.glob("*.csv"))}
    if not sets:
        sys.exit(f"no *.csv in {wanted.sets}: name the directory of the labelled sets with --sets")
    print(f"{'grouping accuracy':20}" + "".join(f"{name:>10}" for name in miners))
    scores: dict[str, list[float]] = defaultdict(list)
    for title, (lines, true) in sets.items():
        for name, miner in miners.items():
            scores[name].append(grouping_accuracy(miner(lines), true))
        print(f"{title:20}" + "".join(f"{scores[name][-1]:10.3f}" for name in miners))
    print(f"{'mean':20}" + "".join(f"{sum(scores[name]) / len(sets):10.3f}" for name in miners))
    print(f"{'worst':20}" + "".join(f"{min(scores[name]):10.3f}" for name in miners))
    many = renewed([line for lines, _ in sets.values() for line in lines], wanted.times)
    rates = {name: speed(miner, many) for name, miner in miners.items()}
    print(f"{len(many):,} lines: " + ", ".join(f"{name} {rate:,.0f} lines/s" for name, rate in rates.items()))
    if "drain3" in rates:
        print(f"ratio {rates['aiprism'] / rates['drain3']:.1f}")


if __name__ == "__main__":
    main()
