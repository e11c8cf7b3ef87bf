"""The bell rings in the block, and nowhere else."""

import signal
import sys
import threading
import time

import pytest

from chalicelib.deadline import DeadlineReached, deadline


def test_it_interrupts_what_waits() -> None:
    with pytest.raises(DeadlineReached), deadline(0.05):
        time.sleep(30)


def test_it_interrupts_what_works() -> None:
    with pytest.raises(DeadlineReached), deadline(0.05):  # noqa: PT012
        while True:
            pass


def test_no_handler_of_other_exceptions_stops_it() -> None:
    with pytest.raises(DeadlineReached), deadline(0.05):  # noqa: PT012
        try:
            time.sleep(30)
        except Exception:  # noqa: BLE001 - as botocore has them
            time.sleep(30)


def test_it_rings_again_where_python_ignores_it() -> None:
    class Slow:
        def __del__(self) -> None:
            time.sleep(0.1)

    ignored: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, ignored.append
    try:
        with pytest.raises(DeadlineReached), deadline(0.05):  # noqa: PT012
            Slow()
            time.sleep(30)
    finally:
        sys.unraisablehook = hook
    assert len(ignored) == 1


def test_a_block_that_ends_in_time_hears_nothing() -> None:
    with deadline(30):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_bell_that_rings_late_is_not_heard() -> None:
    with deadline(30):
        pass
    handler = signal.getsignal(signal.SIGALRM)
    assert callable(handler)
    handler(signal.SIGALRM, None)


def test_another_thread_is_left_alone() -> None:
    outcome = []

    def work() -> None:
        with deadline(0.01):
            time.sleep(0.1)
            outcome.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == ["done"]
