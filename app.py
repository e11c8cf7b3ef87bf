"""All routes of the API, and their authorizers."""

import gc
import os
import sys

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:  # pragma: no cover - in processes of their own: tests/unit/test_start.py
    gc.disable()  # until start.finish(): what is imported does not become garbage

from chalice import AuthResponse, Response
from chalice.app import AuthRequest

if "AWS_CHALICE_CLI_MODE" in os.environ:  # pragma: no cover - set by the `chalice` command, never in Lambda
    sys.dont_write_bytecode = True  # what Python writes looks like a change to the file watcher of `chalice local`
    import tools.local.chalice_cli  # noqa: F401 - gives the command the settings of its stage; never shipped

from chalicelib import about, start
from chalicelib.about import Greeting, Health, Links, SignedInQuery
from chalicelib.auth.authorizers import MachineAuthorizer, UserAuthorizer, authorize, username
from chalicelib.config import settings
from chalicelib.http import responses
from chalicelib.http.api import Api
from chalicelib.http.request import Request
from chalicelib.sms import service as sms
from chalicelib.sms.model import Receipt, SmsMessage
from chalicelib.tasks import service as tasks
from chalicelib.tasks.model import AllTasksPage, AllTasksQuery, NewTask, Task, TaskChanges, TaskPage, TaskQuery

app = Api(app_name="task-api")

users = UserAuthorizer("users", provider_arns=[settings.user_pool_arn])
admins = users.in_group("admin")
machines = MachineAuthorizer("machines", provider_arns=[settings.user_pool_arn]).with_scopes(["task-api/sms"])


@app.authorizer(ttl_seconds=0)  # a cached response would admit a token that has expired since
def user_authorizer(request: AuthRequest) -> AuthResponse:
    """Admit every user of the web client, with an ID token or an access token."""
    return authorize(request.token)


@app.route("/tasks", methods=["POST"], authorizer=users, body=NewTask, returns=Task, limits=tasks.limits)
def create_task(request: Request) -> Response:
    """Create a task."""
    task, replayed = tasks.create(request.user, request.body, request.idempotency_key)
    return responses.created(task, request.path_of(task.task_id), replayed=replayed)


@app.route("/tasks", methods=["GET"], authorizer=users, query=TaskQuery, returns=TaskPage)
def list_tasks(request: Request) -> TaskPage:
    """List your tasks, newest first, or those of one status, soonest due first."""
    return tasks.list_tasks(request.user, request.query)


@app.route("/tasks/{task_id}", methods=["GET"], authorizer=users, returns=Task)
def read_task(request: Request, task_id: str) -> Response:
    """Read a task."""
    return responses.versioned(tasks.read(request.user, task_id))


@app.route("/tasks/{task_id}", methods=["PATCH"], authorizer=users, body=TaskChanges, returns=Task)
def update_task(request: Request, task_id: str) -> Response:
    """Change some members of a task."""
    return responses.versioned(tasks.update(request.user, task_id, request.body, request.if_match))


@app.route("/tasks/{task_id}", methods=["DELETE"], authorizer=users)
def delete_task(request: Request, task_id: str) -> Response:
    """Delete a task."""
    tasks.delete(request.user, task_id, request.if_match)
    return responses.no_content()


@app.route("/admin/tasks", methods=["GET"], authorizer=admins, query=AllTasksQuery, returns=AllTasksPage)
def list_all_tasks(request: Request) -> AllTasksPage:
    """List the tasks of all users with a given status, oldest first."""
    return tasks.list_all_tasks(request.user, request.query)


@app.route("/sms", methods=["POST"], authorizer=machines, body=SmsMessage, returns=Receipt, limits=sms.limits)
def send_sms(request: Request) -> Response:
    """Send an SMS message."""
    receipt, replayed = sms.send(request.machine, request.required_idempotency_key, request.body, request.ends_at)
    return responses.accepted(receipt, replayed=replayed)


@app.route("/hello", methods=["GET"], authorizer=user_authorizer, identify=username, returns=Greeting)
def hello(request: Request) -> Greeting:
    """Greet a signed-in user by name."""
    return about.greet(request.principal)


@app.route("/", methods=["GET"], returns=Links)
def links(request: Request) -> Links:
    """Return links to the documentation and the health check."""
    return about.links(request.api_url)


@app.route("/health", methods=["GET"], returns=Health)
def health() -> Health:
    """Report that the API is up; calls no other service."""
    return about.health()


@app.route("/openapi.json", methods=["GET"])
def openapi(request: Request) -> Response:
    """Return the OpenAPI 3.1 document of the API."""
    return about.openapi(request.api_url)


@app.route("/docs", methods=["GET"])
def docs() -> Response:
    """Show the OpenAPI document as a page."""
    return about.page("docs.html")


@app.route("/docs/signed-in", methods=["GET"], query=SignedInQuery)
def docs_signed_in() -> Response:
    """End the sign-in that began in /docs."""
    return about.page("signed-in.html")


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:  # pragma: no cover
    start.finish()
