"""A fake for the deadline's timer that a test starts itself, so that a slow machine does not change the result."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.deadline import DeadlineReached


class Alarm:
    """Replaces signal.setitimer: the timer runs from start() on, for the `requested` seconds and interval."""

    def __init__(self) -> None:
        self.requested = (0.0, 0.0)
        self._setitimer = signal.setitimer

    def set(self, which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        """Store the time and stop the timer; raise for a time that setitimer rejects."""
        if seconds:
            self.requested = (seconds, interval)
        return self._setitimer(which, min(seconds, 0))

    def start(self) -> None:
        """Start the timer with the stored time; may be called in any thread."""
        self._setitimer(signal.ITIMER_REAL, *self.requested)


@contextmanager
def collect_ignored_alarms() -> Iterator[list[str]]:
    """Collect each DeadlineReached that Python ignores and yield where; pytest would fail the test otherwise.

    Python ignores exceptions in weakref callbacks and __del__. The deadline repeats its alarm for that reason.
    """
    ignored: list[str] = []
    hook = sys.unraisablehook

    def collect(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_type is DeadlineReached:
            ignored.append(f"{unraisable.object!r} {unraisable.err_msg}")  # since Python 3.14 the message names it
        else:
            hook(unraisable)

    sys.unraisablehook = collect
    try:
        yield ignored
    finally:
        sys.unraisablehook = hook
