"""What is generated from the code: OpenAPI document, docs page, README's routes, policies, merge template, licences."""

import importlib
import traceback
from pathlib import Path

from tools.errors import CommandError
from tools.stages import ROOT


def import_sources() -> None:
    """Import what the files are generated from; raises CommandError that names the line where an import fails."""
    for name in ("app", "tools.generate.operations"):
        try:
            importlib.import_module(name)
        except Exception as error:
            file = f"{name.replace('.', '/')}.py"
            message = f"{file} cannot be imported{_place(error)}: {type(error).__name__}: {error}. Correct it, then repeat."
            raise CommandError(message) from error


def _place(error: Exception) -> str:
    """Return the last line of this project that was running, as `, at app.py:12`."""
    folders = (ROOT / "app.py", ROOT / "chalicelib", ROOT / "tools" / "generate" / "operations.py")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if any(path.is_relative_to(folder) for folder in folders):
            return f", at {path.relative_to(ROOT)}:{frame.lineno}"
    return ""
