"""The bell rings in the work, and nowhere else."""

import signal
import sys
import threading
import time

import pytest

from chalicelib.deadline import DeadlineReached, within


def test_it_interrupts_what_waits() -> None:
    with pytest.raises(DeadlineReached):
        within(0.05, lambda: time.sleep(30))


def test_it_interrupts_what_works() -> None:
    def work() -> None:
        while True:
            pass

    with pytest.raises(DeadlineReached):
        within(0.05, work)


def test_no_handler_of_other_exceptions_stops_it() -> None:
    def work() -> None:
        try:
            time.sleep(30)
        except Exception:  # noqa: BLE001 - as botocore has them
            time.sleep(30)

    with pytest.raises(DeadlineReached):
        within(0.05, work)


def test_it_rings_again_where_python_ignores_it() -> None:
    class Slow:
        def __del__(self) -> None:
            time.sleep(0.1)

    def work() -> None:
        Slow()
        time.sleep(30)

    ignored: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, ignored.append
    try:
        with pytest.raises(DeadlineReached):
            within(0.05, work)
    finally:
        sys.unraisablehook = hook
    assert len(ignored) == 1


def test_work_that_ends_in_time_hears_nothing() -> None:
    within(30, lambda: None)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_bell_that_rings_late_is_not_heard() -> None:
    within(30, lambda: None)
    handler = signal.getsignal(signal.SIGALRM)
    assert callable(handler)
    handler(signal.SIGALRM, None)


def test_another_thread_is_left_alone() -> None:
    outcome = []

    def work() -> None:
        time.sleep(0.1)
        outcome.append("done")

    thread = threading.Thread(target=lambda: within(0.01, work))
    thread.start()
    thread.join()
    assert outcome == ["done"]


def test_it_rings_nowhere_else_however_close_to_the_end_it_rings() -> None:
    """Rings at every moment around the end of the work, also while the timer is being set."""
    rung = 0
    for number in range(3000):
        try:
            within(1e-6 + number % 100 * 1e-6, lambda: sum(range(200)))
        except DeadlineReached:
            rung += 1
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert rung
