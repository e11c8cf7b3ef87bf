"""The Lambda functions that app.py declares beside the API, and the modules that each of them uses."""

import ast
from modulefinder import ModuleFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from chalice.app import DynamoDBEventConfig

import app
from tools.stages import ROOT


def declarations() -> dict[str, Any]:
    """Return Chalice's object for each function by its name: authorizers, event sources such as schedules, and others."""
    kinds = (app.app.builtin_auth_handlers, app.app.event_sources, app.app.pure_lambda_functions)
    return {function.name: function for kind in kinds for function in kind}


def reads_table_stream(function: str) -> bool:
    """Return whether `@app.on_dynamodb_record` declares a function."""
    return isinstance(declarations()[function], DynamoDBEventConfig)


def find_modules(function: str) -> list[Path]:
    """Return the files of chalicelib that a function imports: what it names in app.py, and what that imports."""
    module, _, handler = declarations()[function].handler_string.rpartition(".")
    finder = ModuleFinder([str(ROOT)])
    for name in map(_module_of, _find_names(handler)) if module == "app" else [module]:  # another one has a Blueprint
        if name.startswith("chalicelib"):
            finder.import_hook(name)
    files = [getattr(found, "__file__", None) for found in finder.modules.values()]
    return sorted(Path(file) for file in files if file)


def _find_names(handler: str) -> set[str]:
    """Return the names in a function of app.py and in the functions and classes of app.py that it names."""
    definitions = {
        node.name: {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        for node in ast.parse((ROOT / "app.py").read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    found: set[str] = set()
    pending = {handler}
    while pending:
        found |= pending
        pending = set().union(*(definitions.get(name, ()) for name in pending)) - found
    return found


def _module_of(name: str) -> str:
    value = getattr(app, name, None)
    return value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))
