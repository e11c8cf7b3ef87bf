"""Writes the table of routes in README.md: method and path, who may call it, and the docstring of the view."""

import inspect
import re

from chalice.app import RouteEntry

import app
from chalicelib.auth.authorizers import MachineAuthorizer, UserAuthorizer
from tools.stages import ROOT

README = ROOT / "README.md"
_HEAD = "| Route | Who | What |\n| --- | --- | --- |\n"


def render() -> str:
    """Return README.md with the routes that the app has."""
    rows = [
        f"| `{method} {path}` | {_callers(entry)} | {inspect.getdoc(entry.view_function)} |\n"
        for path, entries in app.app.routes.items()
        for method, entry in entries.items()
    ]
    return re.sub(rf"{re.escape(_HEAD)}(\|.*\n)*", lambda _: _HEAD + "".join(rows), README.read_text(), count=1)


def write() -> None:
    """Write README.md."""
    README.write_text(render())


def _callers(entry: RouteEntry) -> str:
    match entry.authorizer:
        case None:
            return "anyone"
        case UserAuthorizer(group=None):
            return "user"
        case UserAuthorizer(group=group):
            return f"user in group `{group}`"
        case MachineAuthorizer(scopes=scopes):
            return f"machine with scope `{' '.join(scopes)}`"
    return "any user"
