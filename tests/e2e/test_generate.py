"""`make generate` after a mistake: a sentence that says what is missing and where, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.local_server import copy_checkout

APP, OPERATIONS, MODEL = "app.py", "tools/generate/operations.py", "chalicelib/tasks/model.py"
CONFIG, POLICIES = ".chalice/config.json", "tools/generate/policies.py"
SCHEDULE = """
@app.schedule("rate(1 day)")
def clean_up(event: object) -> None:
    \"\"\"Clean up once a day.\"\"\"
"""
MISTAKES = {
    "no row for a view": (OPERATIONS, '    "read_task": reads("The task."),\n', "", "GET /tasks/{task_id} is not described: add 'read_task' to OPERATIONS"),
    "a row for no view": (OPERATIONS, "OPERATIONS = {\n", 'OPERATIONS = {\n    "read_taks": reads("The task."),\n', "No route has the view read_taks: remove 'read_taks' from OPERATIONS"),
    "no example": (OPERATIONS, '    NewTask: {"title": "Buy milk", "due_at": "2030-01-31T10:00:00+01:00"},\n', "", "POST /tasks has no example: add NewTask to EXAMPLES"),
    "no docstring": (APP, '    """Read a task."""\n', "", "GET /tasks/{task_id} has no summary: give its view read_task a docstring"),
    "a body that is no Struct": (APP, "body=NewTask", "body=dict", "POST /tasks cannot be described: <class 'dict'> is not a subclass of msgspec.Struct"),
    "a type without a schema": (MODEL, "due_before: Annotated[", "due_before: memoryview | Annotated[", "GET /tasks cannot be described: the type of TaskQuery.due_before has no JSON schema"),
    "an authorizer without a description": (APP, 'UserAuthorizer("users"', 'UserAuthorizer("people"', "does not say which token it takes: add 'people' to SECURITY"),
    "a parameter that the view lacks": (APP, "def read_task(request: Request, task_id: str)", "def read_task(request: Request)", "GET /tasks/{task_id} and the parameters of its view read_task do not match"),
    "a name that is not imported": (APP, "returns=Health)", "returns=Helth)", "app.py cannot be imported, at app.py:"),
    "a syntax error": (APP, "def health()", "def health(", "app.py cannot be imported"),
    "a type that is not there": (MODEL, "class TaskPage(", "class TaskPages(", "app.py cannot be imported, at chalicelib/tasks/service.py:"),
    "a function without a policy": (APP, 'app = Api(app_name="task-api")\n', f'app = Api(app_name="task-api")\n{SCHEDULE}', "The function clean_up has no policy: add it to FUNCTIONS"),
    "a policy without a function": (POLICIES, '"user_authorizer": ()', '"user_authorizer": (), "gone": ()', "No function is named gone: remove it from FUNCTIONS"),
    "a policy that a stage does not name": (CONFIG, '        "user_authorizer": {\n          "iam_policy_file": "policy-dev-user_authorizer.json"\n        }\n', "", "Stage dev does not name the policy of user_authorizer: add"),
}  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_checkout(tmp_path_factory.mktemp("generate") / "copy")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_a_sentence(checkout: Path, mistake: str) -> None:
    name, old, new, sentence = MISTAKES[mistake]
    file = checkout / name
    assert file.read_text().count(old) >= 1
    file.write_text(file.read_text().replace(old, new))
    done = subprocess.run(
        [sys.executable, "-m", "tools", "generate"], cwd=checkout, check=False, capture_output=True, text=True
    )
    subprocess.run(["git", "checkout", "-q", "."], cwd=checkout, check=True)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_generated_files_do_not_change_without_a_change(checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools", "generate"], cwd=checkout, check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    subprocess.run(["git", "diff", "--exit-code"], cwd=checkout, check=True)
