"""Overhears what the app writes while it answers, for leaks.py."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from tests.support import leaks

_here = threading.local()


@contextmanager
def listening(sent: leaks.Sent) -> Iterator[None]:
    """Look at all that is written for the length of a block: to standard output and error, which Lambda keeps, or logged."""
    for name in ("stdout", "stderr"):
        if not isinstance(getattr(sys, name), _Ear):  # pytest puts others there with each test
            setattr(sys, name, _Ear(getattr(sys, name)))
    before, _here.heard = getattr(_here, "heard", None), []
    try:
        yield
    finally:
        text, _here.heard = "".join(_here.heard), before
        leaks.logged(text, sent)


class _Ear:
    """A stream that is overheard."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        _hear(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Root(logging.Handler):
    """Hears what Lambda would: records that reach the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        _hear(logging.Formatter().format(record))


logging.getLogger().addHandler(_Root(logging.WARNING))


def _hear(text: str) -> None:
    heard = getattr(_here, "heard", None)
    if heard is not None:
        heard.append(text)
