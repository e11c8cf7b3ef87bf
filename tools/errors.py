"""Errors that end a command."""

import sys


class CommandError(Exception):
    """Ends a command; the text says what happened and what to do next."""


def missing_package(package: str) -> str:
    """Return the message for a package that is not installed."""
    return (
        f"{package} is not installed for {sys.executable}. Run `make run`, or install it: "
        f"{sys.executable} -m pip install --no-deps -r requirements-dev.txt"
    )
