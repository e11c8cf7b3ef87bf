"""The deadline of a request: ends it after at most 8 seconds, even if AWS hangs or responds slowly."""

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

REQUEST_TIMEOUT = 8.0
"""Seconds after which a request is given up; clients and API Gateway give up later."""
RESPONSE_MARGIN = 0.5
"""Seconds between the deadline of a request and the timeout of the function, in which the response is written."""

_REPEAT_SECONDS = 0.25  # Python ignores what is raised while it collects garbage, the first alarm possibly included


class _Current(threading.local):
    """The deadline of this thread's work, by the monotonic clock."""

    ends = math.inf


_current = _Current()


class DeadlineReached(BaseException):
    """The deadline of this request is reached.

    Not an Exception: botocore takes those for a fault of the connection, and retries.
    """


def seconds_for(lambda_context: Any) -> float:
    """Return the seconds that a request may take in a function that has so much time left."""
    left = float(lambda_context.get_remaining_time_in_millis()) / 1000 - RESPONSE_MARGIN
    return max(0.001, min(REQUEST_TIMEOUT, left))  # 0 would switch the alarm off


def run(seconds: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `work` and return its result; raises DeadlineReached in it, wherever it is by then, after so many seconds.

    Lambda calls the handler in the main thread, the only one that a signal interrupts; in any other thread no alarm is set.
    Not a context manager: an alarm during its exit would skip the cleanup and fire in the next request.
    """
    _current.ends = time.monotonic() + seconds
    if threading.current_thread() is not threading.main_thread():
        return work(*args, **kwargs)
    armed = True

    def on_alarm(_signal: int, _frame: FrameType | None) -> None:
        if armed:
            raise DeadlineReached

    signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, _REPEAT_SECONDS)
        return work(*args, **kwargs)
    finally:
        armed = False  # first, so that an alarm in the next line raises nothing
        signal.setitimer(signal.ITIMER_REAL, 0)


def seconds_left() -> float:
    """Return the seconds until the deadline of this thread's work, infinity without one."""
    return _current.ends - time.monotonic()
