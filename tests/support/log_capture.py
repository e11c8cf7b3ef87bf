"""Log capture: collects what the app writes during a request and passes it to leaks.py."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from tests.support import leaks

_local = threading.local()


@contextmanager
def capture_output(sent: leaks.Sent) -> Iterator[None]:
    """Check for leaks in what this thread writes to standard output, standard error and the root logger; Lambda logs all three."""
    for name in ("stdout", "stderr"):
        if not isinstance(getattr(sys, name), _CapturedStream):  # pytest replaces both for each test
            setattr(sys, name, _CapturedStream(getattr(sys, name)))
    before, _local.captured = getattr(_local, "captured", None), []
    try:
        yield
    finally:
        text, _local.captured = "".join(_local.captured), before
        leaks.check_log(text, sent)


class _CapturedStream:
    """A stream that also captures what is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        _capture(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _RootHandler(logging.Handler):
    """Captures the records that reach the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        _capture(logging.Formatter().format(record))


logging.getLogger().addHandler(_RootHandler(logging.WARNING))


def _capture(text: str) -> None:
    captured = getattr(_local, "captured", None)
    if captured is not None:
        captured.append(text)
