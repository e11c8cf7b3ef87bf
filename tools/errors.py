"""Errors that end a command."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


class CommandError(Exception):
    """Ends a command; the text says what happened and what to do next."""


def missing_package(package: str) -> str:
    """Return the message for a package that is not installed."""
    return (
        f"{package} is not installed for {sys.executable}. Run `make run`, or install it: "
        f"{sys.executable} -m pip install --no-deps -r requirements-dev.txt"
    )


@contextmanager
def explain() -> Iterator[None]:
    """Raise CommandError with place and message of any other exception; with DEBUG=1 let that through, for its traceback."""
    try:
        yield
    except CommandError:
        raise
    except Exception as error:
        if os.environ.get("DEBUG"):
            raise
        message = f"{describe(error)}\nCorrect it, then repeat the command, with DEBUG=1 in front of it for the traceback."
        raise CommandError(message) from error


def describe(error: BaseException) -> str:
    """Return place, type and message of an exception; the place is the last line of this project that it comes from."""
    where = ""
    if isinstance(error, SyntaxError):
        message = error.msg
        where = _place(error.filename or "", error.lineno)
    else:
        message = str(error)
        for frame in traceback.extract_tb(error.__traceback__):
            where = _place(frame.filename, frame.lineno) or where
    return f"{where}{type(error).__name__}: {message}"


def _place(file: str, line: int | None) -> str:
    """Return such as `app.py:12: `, empty for a file that is not this project's."""
    path = Path(file)
    ours = path.is_relative_to(_ROOT) and not path.is_relative_to(_ROOT / ".venv")
    return f"{path.relative_to(_ROOT)}:{line}: " if ours else ""
