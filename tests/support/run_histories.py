"""Crowds on ground that is kind and on ground that is not: in short in test_many_at_once.py, for long in `make history`."""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests import conftest  # noqa: F401 - conftest sets the stage
from tests.support import leaks
from tests.support.checker import histories, violations
from tests.support.concurrent_clients import gathered
from tests.support.sms_clients import STAGE, Texts
from tests.support.testbed import Ground, prepared

_SEEDS = 20
_SHOWN = 5  # of what is wrong
_DONE = ("operations", "lists", "faults of the network", "texts asked for", "texts sent")


class Figures:
    """What crowds have done, and what was wrong with it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []

    def add(self, ground: Ground, seed: int, *, fair: bool, deeds: int = 30) -> None:
        story = gathered(ground, seed, fair=fair, deeds=deeds)
        tasks = histories(story)
        self.statuses.update(request.status for request in story.requests)
        self.counts["crowds"] += 1
        self.counts["operations"] += len(story.requests)
        self.counts["unknown outcomes"] += sum(request.answer is None for request in story.requests)
        self.counts["histories of tasks"] += len(tasks)
        self.counts["calls in them"] += sum(map(len, tasks.values()))
        self.counts["lists"] += len(story.walks)
        self.counts["faults of the network"] += story.faults.total()
        self.wrong += [f"seed {seed}, {'fair' if fair else 'bad'} weather: {fault}" for fault in violations(story)]

    def add_texts(self, ground: Ground, seed: int, *, fair: bool) -> None:
        texts = Texts(ground, seed, fair=fair)
        self.counts["texts asked for"] += len(texts.sent)
        self.counts["texts sent"] += len(
            {sent.answer.json["message_id"] for sent in texts.sent if sent.answer.status == 202} - {None}
        )
        self.wrong += [f"seed {seed}, {'fair' if fair else 'bad'} weather: {fault}" for fault in texts.violations()]

    def report(self) -> str:
        """Return what came of it, what is wrong first."""
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return "\n".join([*self.wrong[:_SHOWN], f"Statuses: {statuses}", f"{counts}; {len(self.wrong)} wrong"])


def run(ground: Ground, tight: Ground, seeds: range, deeds: int, tell: Callable[[str], object]) -> Figures:
    """Let a crowd act for each seed and weather, until something is wrong."""
    figures = Figures()
    began = time.monotonic()
    for seed in seeds:
        for fair in (True, False):
            figures.add(ground, seed, fair=fair, deeds=deeds)
            figures.add_texts(tight, seed, fair=fair)
        tell(f"seed {seed}, {time.monotonic() - began:.0f} s: {figures.counts['operations']} operations")
        if figures.wrong:
            break
    figures.wrong += [f"there were no {name}" for name in _DONE if not figures.counts[name]]
    figures.wrong += leaks.FOUND
    return figures


def main() -> int:
    """Take so many seeds, or as many as are asked for."""
    seeds = range(int(sys.argv[1]) if sys.argv[1:] else _SEEDS)
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as another,
        prepared(Path(folder)) as ground,
        prepared(Path(another), **STAGE) as tight,
    ):
        figures = run(ground, tight, seeds, 60, print)
    print(figures.report())
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
