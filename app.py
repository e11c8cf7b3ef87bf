"""The API as a table of contents: who may call, then every route."""

import os
from typing import Any

from chalice import AuthResponse, Chalice, CognitoUserPoolAuthorizer, Response
from chalice.app import AuthRequest

if "AWS_CHALICE_CLI_MODE" in os.environ:  # pragma: no cover - set by the `chalice` command, never in Lambda
    import tools.local.chalice_cli  # noqa: F401 - gives the command the settings of its stage; never shipped

from chalicelib import RELEASE, middleware, sms, tasks, web
from chalicelib.auth import SMS_SCOPE
from chalicelib.call import call
from chalicelib.config import settings
from chalicelib.lists import BoardQuery, TaskQuery
from chalicelib.task import NewTask, TaskChanges
from chalicelib.text import Text
from chalicelib.web import ANY_TYPE, CORS


class OneClient(CognitoUserPoolAuthorizer):
    """Admits the tokens of one app client, where the plain one admits those of every client of the pool."""

    def to_swagger(self) -> dict[str, Any]:
        """Return the security scheme with the audience pinned."""
        scheme: dict[str, Any] = super().to_swagger()
        scheme["x-amazon-apigateway-authorizer"]["identityValidationExpression"] = f"^{settings.web_client_id}$"
        return scheme


app = Chalice(app_name="task-api", configure_logs=False)
app.register_middleware(middleware.answer, "http")
app.log.addHandler(middleware.Failures())
app.log.propagate = False

users = OneClient("users", provider_arns=[settings.user_pool_arn])


machines = CognitoUserPoolAuthorizer("machines", provider_arns=[settings.user_pool_arn])


@app.authorizer(ttl_seconds=0)  # an answer that is kept would open to a token that has expired since
def any_user(request: AuthRequest) -> AuthResponse:
    """Admit every user of the web client, with an ID token or an access token."""
    return middleware.bounded(lambda: web.admitted(request.token))


@app.route("/tasks", methods=["POST"], authorizer=users, content_types=ANY_TYPE, cors=CORS)
def create_task() -> Response:
    """Create a task."""
    task, replayed = tasks.create(call.user, call.body(NewTask), call.key)
    return web.created(task, replayed=replayed)


@app.route("/tasks", methods=["GET"], authorizer=users, content_types=ANY_TYPE, cors=CORS)
def list_tasks() -> Response:
    """List your tasks, newest first, or those of one status, soonest due first."""
    return web.listed(tasks.page(call.user, call.query(TaskQuery)))


@app.route("/tasks/{task_id}", methods=["GET"], authorizer=users, content_types=ANY_TYPE, cors=CORS)
def read_task(task_id: str) -> Response:
    """Read a task."""
    return web.shown(tasks.read(call.user, task_id))


@app.route("/tasks/{task_id}", methods=["PATCH"], authorizer=users, content_types=ANY_TYPE, cors=CORS)
def change_task(task_id: str) -> Response:
    """Change some members of a task."""
    return web.shown(tasks.change(call.user, task_id, call.body(TaskChanges), call.if_match))


@app.route("/tasks/{task_id}", methods=["DELETE"], authorizer=users, content_types=ANY_TYPE, cors=CORS)
def remove_task(task_id: str) -> Response:
    """Delete a task."""
    tasks.remove(call.user, task_id, call.if_match)
    return web.done()


@app.route("/admin/tasks", methods=["GET"], authorizer=users, content_types=ANY_TYPE, cors=CORS)
def list_board() -> Response:
    """List the tasks of all users that have a status, oldest first."""
    return web.listed(tasks.of_all(call.admin, call.query(BoardQuery)))


@app.route("/sms", methods=["POST"], authorizer=machines.with_scopes([SMS_SCOPE]), content_types=ANY_TYPE, cors=CORS)
def send_text() -> Response:
    """Send a text message."""
    receipt, replayed = sms.send(call.machine, call.required_key, call.body(Text))
    return web.accepted(receipt, replayed=replayed)


@app.route("/hello", methods=["GET"], authorizer=any_user, content_types=ANY_TYPE, cors=CORS)
def hello() -> Response:
    """Greet a signed-in user by name."""
    return web.greeting(call.username)


@app.route("/health", methods=["GET"], content_types=ANY_TYPE, cors=CORS)
def health() -> Response:
    """Tell that the API answers; touches nothing."""
    return web.healthy(RELEASE)


@app.route("/openapi.json", methods=["GET"], content_types=ANY_TYPE, cors=CORS)
def openapi() -> Response:
    """Describe the API in OpenAPI 3.1."""
    return web.document()


@app.route("/docs", methods=["GET"], content_types=ANY_TYPE, cors=CORS)
def docs() -> Response:
    """Show that description to people."""
    return web.reference()
