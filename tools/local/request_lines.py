"""Prints a request as people read it, in place of the app's JSON log line: `make run`; `LOG=json make run` keeps JSON."""

import json
import os
import time
from contextvars import ContextVar
from typing import Any, TextIO

path: ContextVar[str] = ContextVar("path", default="")
"""The path of the current request, without the query; the log line has only the route."""

_COLOURS = {2: 32, 3: 36, 4: 33, 5: 31}
"""Green, cyan, yellow and red (ECMA-48, "Select graphic rendition"), by the hundreds of the status."""


def wrap(output: TextIO) -> Any:
    """Return a text stream that prints request lines on another; LOG=json in the environment returns that one itself."""
    if os.environ.get("LOG") == "json":
        return output
    return _RequestLines(output, is_coloured=output.isatty() and "NO_COLOR" not in os.environ)


class _RequestLines:
    def __init__(self, output: TextIO, *, is_coloured: bool) -> None:
        self._output, self._is_coloured = output, is_coloured

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)

    def write(self, text: str) -> int:
        """Write a text, or what it says of a request if it is a log line of the app."""
        if text.startswith('{"request_id":'):
            self._output.write(self._render(json.loads(text)))
        else:
            self._output.write(text)
        return len(text)

    def _render(self, line: dict[str, Any]) -> str:
        where = "".join(character if character.isprintable() else "?" for character in path.get() or line["route"])
        status = str(line["status"])
        if self._is_coloured:
            status = f"\033[{_COLOURS[line['status'] // 100]}m{status}\033[0m"
        notes = [line["outcome"]] if "outcome" in line else []
        notes += ["replayed"] if "replayed" in line else []
        notes += [f"{line[kind]:g} {kind.replace('_', ' ')}" for kind in ("read_units", "write_units") if kind in line]
        clock, note = time.strftime("%H:%M:%S"), ", ".join(notes)
        first = f"{clock} {line['method']:7} {where:45} {status} {line['ms']:7.1f} ms  {note}".rstrip()
        return "\n".join([first, *map(_describe, line.get("errors", [])), ""])


def _describe(error: dict[str, Any]) -> str:
    """Return type, AWS error code and last frame of an error."""
    return " ".join(["   ", error["type"], *([error["code"]] if "code" in error else []), *error["frames"][-1:]])
