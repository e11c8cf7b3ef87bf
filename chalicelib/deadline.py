"""No request outlives its deadline, whatever hangs or drips behind it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class DeadlineReached(BaseException):
    """The time of this request is up.

    No Exception: botocore takes any of those for a fault of the connection and tries again.
    """


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlineReached in the block, wherever it is by then, after so many seconds."""
    main = threading.current_thread() is threading.main_thread()
    disarm = _by_signal(seconds) if main else _by_timer(seconds)
    try:
        yield
    finally:
        disarm()


def _by_signal(seconds: float) -> Callable[[], None]:
    """Lambda calls the handler in the main thread, the only one that gets signals."""
    armed = True

    def ring(_signal: int, _frame: FrameType | None) -> None:
        if armed:
            raise DeadlineReached

    def disarm() -> None:
        nonlocal armed
        armed = False  # first, so that a bell that rings in the next line finds nobody
        signal.setitimer(signal.ITIMER_REAL, 0)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return disarm


def _by_timer(seconds: float) -> Callable[[], None]:
    """`chalice local` has a thread for each connection; there a blocking call ends before the bell is heard."""
    import ctypes  # noqa: PLC0415 - not needed in Lambda

    thread = ctypes.c_ulong(threading.get_ident())
    lock = threading.Lock()
    armed = True

    def throw(exception: type[BaseException] | None) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, exception and ctypes.py_object(exception))

    def ring() -> None:
        with lock:
            if armed:
                throw(DeadlineReached)

    def disarm() -> None:
        nonlocal armed
        with lock:
            armed = False
            throw(None)  # takes back a bell that has rung and was not heard yet
        timer.cancel()

    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    return disarm
