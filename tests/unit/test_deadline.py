"""The deadline interrupts the work that it bounds, and nothing else."""

import signal
import threading
import time

import pytest

from chalicelib.deadline import DeadlineReached, run, seconds_left
from tests.support.alarm import Alarm
from tests.support.sdk_faults import in_another_thread

pytestmark = pytest.mark.usefixtures("ignored_alarms")


def test_the_deadline_interrupts_work_that_waits() -> None:
    with pytest.raises(DeadlineReached):
        run(0.05, lambda: time.sleep(30))


def test_the_deadline_interrupts_work_that_computes() -> None:
    def work() -> None:
        while True:
            pass

    with pytest.raises(DeadlineReached):
        run(0.05, work)


def test_no_handler_of_exceptions_stops_the_deadline(alarm: Alarm) -> None:
    stopped = []

    def work() -> None:
        try:
            alarm.start()
            time.sleep(30)
        except Exception as error:  # noqa: BLE001 - as botocore has them
            stopped.append(error)

    with pytest.raises(DeadlineReached):
        run(0.05, work)
    assert stopped == []


def test_the_deadline_rings_again_where_python_ignores_an_exception(alarm: Alarm, ignored_alarms: list[str]) -> None:
    class Slow:
        def __del__(self) -> None:
            alarm.start()
            time.sleep(30)

    def work() -> None:
        Slow()
        time.sleep(30)

    with pytest.raises(DeadlineReached):
        run(0.05, work)
    assert "Slow.__del__" in ignored_alarms[0]


def test_work_that_ends_in_time_is_not_interrupted() -> None:
    run(30, lambda: None)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_alarm_after_the_end_of_the_work_does_nothing() -> None:
    run(30, lambda: None)
    handler = signal.getsignal(signal.SIGALRM)
    assert callable(handler)
    handler(signal.SIGALRM, None)


def test_work_in_another_thread_has_no_alarm() -> None:
    def work() -> tuple[float, float]:
        assert threading.current_thread() is not threading.main_thread()
        return signal.getitimer(signal.ITIMER_REAL)

    assert in_another_thread(lambda: run(30, work)) == (0, 0)


def test_the_deadline_interrupts_nothing_after_the_work() -> None:
    """Rings at every moment around the end of the work, also while the timer is being set."""
    rung = 0
    for number in range(1500):
        seconds = 1e-6 + number % 100 * 1e-6
        end = time.perf_counter() + seconds

        def work(end: float = end) -> None:
            while time.perf_counter() < end:
                pass

        try:
            run(seconds, work)
        except DeadlineReached:
            rung += 1
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert rung


def test_work_can_read_its_remaining_time() -> None:
    assert 29 < run(30, seconds_left) <= 30
    assert 29 < in_another_thread(lambda: run(30, seconds_left)) <= 30
    assert in_another_thread(seconds_left) == float("inf")
