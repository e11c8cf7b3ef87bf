"""Runs both workloads with and without faults and checks their histories: `make history`, and test_linearizability.py."""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests import conftest  # noqa: F401 - conftest sets the stage
from tests.support import leaks
from tests.support.checker import calls_by_task, violations
from tests.support.concurrent_clients import run_clients
from tests.support.emulator import run_emulator
from tests.support.sms_clients import STAGE, SmsWorkload
from tests.support.testbed import Testbed, run_testbed

_SEEDS = 20
_MAX_SHOWN = 5  # violations in the report
_REQUIRED = ("requests", "traversals", "faults", "SMS requests", "SMS messages")


class Summary:
    """Counts and violations of several workloads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.violations: list[str] = []

    def run_tasks(self, testbed: Testbed, seed: int, *, faults: bool, operations: int = 30) -> None:
        history = run_clients(testbed, seed, faults=faults, operations=operations)
        calls = calls_by_task(history)
        self.statuses.update(request.status for request in history.requests)
        self.counts["workloads"] += 1
        self.counts["requests"] += len(history.requests)
        self.counts["unknown outcomes"] += sum(request.response is None for request in history.requests)
        self.counts["histories of tasks"] += len(calls)
        self.counts["calls in them"] += sum(map(len, calls.values()))
        self.counts["traversals"] += len(history.traversals)
        self.counts["faults"] += history.faults.total()
        self._add(seed, faults, violations(history))

    def run_sms(self, testbed: Testbed, seed: int, *, faults: bool) -> None:
        workload = SmsWorkload(testbed, seed, faults=faults)
        self.counts["SMS requests"] += len(workload.requests)
        accepted = [request.response for request in workload.requests if request.response.status == 202]
        self.counts["SMS messages"] += len({response.json["message_id"] for response in accepted} - {None})
        self._add(seed, faults, list(workload.violations()))

    def _add(self, seed: int, faults: bool, found: list[str]) -> None:  # noqa: FBT001 - private
        self.violations += [f"seed {seed}, {'with' if faults else 'without'} faults: {violation}" for violation in found]

    def report(self) -> str:
        """Return violations, statuses and counts."""
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return "\n".join(
            [*self.violations[:_MAX_SHOWN], f"Statuses: {statuses}", f"{counts}; {len(self.violations)} violations"]
        )


def run(testbed: Testbed, limited: Testbed, seeds: range, operations: int, progress: Callable[[str], object]) -> Summary:
    """Run both workloads for each seed, without and with faults, up to the first seed with a violation."""
    summary = Summary()
    began = time.monotonic()
    for seed in seeds:
        for faults in (False, True):
            summary.run_tasks(testbed, seed, faults=faults, operations=operations)
            summary.run_sms(limited, seed, faults=faults)
        progress(f"seed {seed}, {time.monotonic() - began:.0f} s: {summary.counts['requests']} requests")
        if summary.violations:
            break
    summary.violations += [f"there were no {name}" for name in _REQUIRED if not summary.counts[name]]
    summary.violations += leaks.FOUND
    return summary


def main() -> int:
    """Run 20 seeds, or as many as the first argument says."""
    seeds = range(int(sys.argv[1]) if sys.argv[1:] else _SEEDS)
    with (
        tempfile.TemporaryDirectory() as name,
        run_emulator(folder := Path(name)) as emulator,
        run_testbed(emulator, folder / "tasks", "task-api-tasks") as testbed,
        run_testbed(emulator, folder / "sms", "task-api-sms", **STAGE) as limited,
    ):
        summary = run(testbed, limited, seeds, 60, print)
    print(summary.report())
    return 1 if summary.violations else 0


if __name__ == "__main__":
    sys.exit(main())
