"""The timer of the deadline, started by a test: a verdict does not depend on how long a busy machine takes before that."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.deadline import DeadlineReached


class Alarm:
    """Stands for signal.setitimer: the timer does not run before start(), and `asked` is the time that it then takes."""

    def __init__(self) -> None:
        self.asked = (0.0, 0.0)
        self._setitimer = signal.setitimer

    def set(self, which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        """Remember the time and stop the timer; a time that setitimer refuses is refused here too."""
        if seconds:
            self.asked = (seconds, interval)
        return self._setitimer(which, min(seconds, 0))

    def start(self) -> None:
        """Start the timer with what was asked for; may be called in any thread."""
        self._setitimer(signal.ITIMER_REAL, *self.asked)


@contextmanager
def may_ring_anywhere() -> Iterator[list[str]]:
    """Keep each DeadlineReached that Python ignores from pytest, which would fail the test; gives where they were ignored.

    Python ignores what is raised in a weakref callback or in __del__. The deadline knows that, and rings again.
    """
    ignored: list[str] = []
    hook = sys.unraisablehook

    def look(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_type is DeadlineReached:
            ignored.append(repr(unraisable.object))
        else:
            hook(unraisable)

    sys.unraisablehook = look
    try:
        yield ignored
    finally:
        sys.unraisablehook = hook
