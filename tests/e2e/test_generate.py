"""`make generate` after a mistake: a sentence that says what is missing and where, never a traceback."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.local_server import copy_checkout

APP, OPERATIONS, MODEL = "app.py", "tools/generate/operations.py", "chalicelib/tasks/model.py"
MISTAKES = {
    "no row for a view": (OPERATIONS, '    "read_task": reads("task"),\n', "", "GET /tasks/{task_id} is not described: add 'read_task' to OPERATIONS"),
    "a row for no view": (OPERATIONS, "OPERATIONS = {\n", 'OPERATIONS = {\n    "read_taks": reads("task"),\n', "No route has the view read_taks: remove 'read_taks' from OPERATIONS"),
    "no example": (OPERATIONS, '    NewTask: {"title": "Buy milk", "due_at": "2030-01-31T10:00:00+01:00"},\n', "", "The type NewTask has no example: add it to EXAMPLES in tools/generate/operations.py."),
    "no docstring": (APP, '    """Read a task."""\n', "", "GET /tasks/{task_id} has no summary: give its view read_task a docstring"),
    "a body that is no Struct": (APP, "body=NewTask", "body=dict", "POST /tasks cannot be described: <class 'dict'> is not a subclass of msgspec.Struct"),
    "a type without a schema": (MODEL, "due_before: Annotated[", "due_before: memoryview | Annotated[", "GET /tasks cannot be described: the type of TaskQuery.due_before has no JSON schema"),
    "an authorizer without a description": (APP, 'UserAuthorizer("users"', 'UserAuthorizer("people"', "does not say which token it takes: add 'people' to SECURITY"),
    "a parameter that the view lacks": (APP, "def read_task(request: Request, task_id: str)", "def read_task(request: Request)", "GET /tasks/{task_id} gives its view read_task the parameters task_id, but it takes none: name them alike"),
    "a name that is not imported": (APP, "returns=Health)", "returns=Helth)", "app.py:LINE: NameError: name 'Helth' is not defined"),
    "a syntax error": (APP, "def health()", "def health(", "app.py:LINE: SyntaxError: "),
    "a type that is not there": (MODEL, "class TaskPage(", "class TaskPages(", "chalicelib/tasks/service.py:LINE: ImportError: cannot import name 'TaskPage'"),
    "a tag without a description": (OPERATIONS, '    "sms": "SMS messages, for machines.",\n', "", "The tag sms has no description: add 'sms' to TAGS"),
    "a description of no tag": (OPERATIONS, "TAGS = {\n", 'TAGS = {\n    "smss": "SMS",\n', "No operation has the tag smss: remove 'smss' from TAGS"),
    "a wrong row": (OPERATIONS, 'about.Health("ok", __version__)', "about.Health()", "tools/generate/operations.py:LINE: TypeError: Missing required argument"),
    "a place in README that is gone": ("README.md", "<!-- end of routes -->\n", "", "README.md has no place for the table of routes. Add these two lines:"),
    "an import that is not there": (APP, "import about, start\n", "import abuot, start\n", "app.py:LINE: ImportError: cannot import name 'abuot' from 'chalicelib'"),
    "an attribute that is not there": (APP, 'users.in_group("admin")', 'users.of_group("admin")', "app.py:LINE: AttributeError: 'UserAuthorizer' object has no attribute 'of_group'"),
}  # fmt: skip
NO_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "1"}  # which counts as current for another file of that size and second
LATER = {"a place in README that is gone"}
"""Mistakes that are noticed when the document is written."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_checkout(tmp_path_factory.mktemp("generate") / "copy")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    return folder


@contextmanager
def mistaken(checkout: Path, mistake: str) -> Iterator[re.Pattern[str]]:
    """Make a mistake for the length of a block, and return the sentence that names it."""
    name, old, new, sentence = MISTAKES[mistake]
    file = checkout / name
    right = file.read_text()
    assert old in right
    file.write_text(right.replace(old, new))
    try:
        yield re.compile(re.escape(sentence).replace("LINE", "[0-9]+"))
    finally:
        file.write_text(right)


def tools(checkout: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools", *arguments]
    return subprocess.run(
        command, cwd=checkout, env=os.environ | NO_BYTECODE | variables, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_a_sentence_and_no_document_is_written(checkout: Path, mistake: str) -> None:
    document = (checkout / "chalicelib" / "static" / "openapi.json").stat()
    with mistaken(checkout, mistake) as sentence:
        done = tools(checkout, "generate")
        assert done.returncode == 1
        assert sentence.search(done.stderr), done.stderr
        assert "Traceback" not in done.stderr
        assert mistake in LATER or (checkout / "chalicelib" / "static" / "openapi.json").stat() == document


@pytest.mark.parametrize("arguments", [("package", "prod"), ("deploy", "dev")])
def test_a_mistake_in_app_py_is_named_by_the_commands_that_package_it(checkout: Path, arguments: tuple[str, str]) -> None:
    with mistaken(checkout, "a name that is not imported") as sentence:
        done = tools(checkout, *arguments, AWS_DEFAULT_REGION="us-east-1")
    assert done.returncode == 1
    assert sentence.match(done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(checkout: Path) -> None:
    with mistaken(checkout, "a name that is not imported"):
        assert tools(checkout, "generate", DEBUG="1").stderr.startswith("Traceback")


def test_generated_files_do_not_change_without_a_change(checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools", "generate"], cwd=checkout, check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    subprocess.run(["git", "diff", "--exit-code"], cwd=checkout, check=True)
