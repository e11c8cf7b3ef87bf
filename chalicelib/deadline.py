"""No request outlives its deadline, whatever hangs or drips behind it."""

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

Result = TypeVar("Result")

_AGAIN = 0.25  # seconds; Python ignores what is raised while it collects garbage, a bell like anything else


class _Running(threading.local):
    """What this thread is doing under a deadline: when its time is up, by the monotonic clock."""

    ends = math.inf


_running = _Running()


class DeadlineReached(BaseException):
    """The time of this request is up.

    No Exception: botocore takes any of those for a fault of the connection and tries again.
    """


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Do the work and return what it does; raises DeadlineReached in it, wherever it is by then, after so many seconds.

    Lambda calls the handler in the main thread, the only one that a signal interrupts; any other thread is left alone. No
    context manager: a bell that rings while one is being left would leave it never, and ring in the next request.
    """
    _running.ends = time.monotonic() + seconds
    if threading.current_thread() is not threading.main_thread():
        return work()
    armed = True

    def ring(_signal: int, _frame: FrameType | None) -> None:
        if armed:
            raise DeadlineReached

    signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
        return work()
    finally:
        armed = False  # first, so that a bell that rings in the next line finds nobody
        signal.setitimer(signal.ITIMER_REAL, 0)


def seconds_left() -> float:
    """Return how much time the work that this thread does has left; infinity where it has no deadline."""
    return _running.ends - time.monotonic()
