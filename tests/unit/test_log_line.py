"""Outside requests, in a background function, there is no log line to add to."""

from contextvars import Context

from chalicelib import log_line
from chalicelib.dynamodb import table


def test_outside_a_request_nothing_is_kept_for_a_log_line() -> None:
    def work() -> object:
        log_line.add_cause(ValueError())
        return table.get({"PK": "-", "SK": "-"}), log_line.current.get()

    assert Context().run(work) == (None, None)
