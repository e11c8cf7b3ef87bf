"""Writes the table of routes in README.md: method and path, who may call it, and the view's summary."""

import re

from chalice.app import RouteEntry

import app
from tools.errors import CommandError
from tools.generate.openapi import summary
from tools.generate.openapi_text import SECURITY
from tools.stages import ROOT

README = ROOT / "README.md"
_START, _END = "<!-- routes, written by make generate -->\n", "<!-- end of routes -->\n"


def render() -> str:
    """Return README.md with the routes that the app has; raises CommandError without the place for them."""
    rows = [
        f"| `{method} {path}` | {_callers(entry)} | {summary(entry)} |\n"
        for path, entries in app.app.routes.items()
        for method, entry in entries.items()
    ]
    table = "".join([_START, "| Route | Who | What |\n| --- | --- | --- |\n", *rows, _END])
    page, found = re.subn(f"{_START}.*?{_END}", lambda _: table, README.read_text(), flags=re.DOTALL)
    if found != 1:
        message = f"README.md has no place for the table of routes. Add these two lines:\n{_START}{_END}"
        raise CommandError(message)
    return page


def write() -> None:
    """Write README.md."""
    README.write_text(render())


def _callers(entry: RouteEntry) -> str:
    if not entry.authorizer:
        return "anyone"
    callers, _ = SECURITY[entry.authorizer.name]
    group, scopes = getattr(entry.authorizer, "group", ""), getattr(entry.authorizer, "scopes", [])
    return callers + (f" in group `{group}`" if group else "") + (f" with scope `{' '.join(scopes)}`" if scopes else "")
