"""No request outlives its deadline, whatever hangs or drips behind it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN = 0.25  # seconds; Python ignores what is raised while it collects garbage, a bell like anything else


class DeadlineReached(BaseException):
    """The time of this request is up.

    No Exception: botocore takes any of those for a fault of the connection and tries again.
    """


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlineReached in the block, wherever it is by then, after so many seconds.

    Lambda calls the handler in the main thread, the only one that a signal interrupts; any other thread is left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def ring(_signal: int, _frame: FrameType | None) -> None:
        if armed:
            raise DeadlineReached

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        armed = False  # first, so that a bell that rings in the next line finds nobody
        signal.setitimer(signal.ITIMER_REAL, 0)
