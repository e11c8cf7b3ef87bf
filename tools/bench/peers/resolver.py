"""The API with the router of Powertools for AWS Lambda, on boto3's resource."""

import checks
import storage
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

app = APIGatewayRestResolver(cors=CORSConfig(allow_origin="https://app.example.com"))


@app.post("/tasks")
def create() -> tuple[dict, int]:
    """Create a task."""
    return storage.create(_sub(), checks.new_task(app.current_event.body)), 201


@app.get("/tasks")
def list_tasks() -> dict:
    """List tasks, newest first."""
    query = app.current_event.query_string_parameters
    return storage.list_tasks(_sub(), checks.limit(query), query.get("cursor"))


@app.get("/tasks/<task_id>")
def read(task_id: str) -> dict:
    """Read a task."""
    return _found(storage.read(_sub(), task_id))


@app.patch("/tasks/<task_id>")
def update(task_id: str) -> dict:
    """Change some members of a task."""
    return _found(storage.update(_sub(), task_id, checks.changes(app.current_event.body)))


@app.exception_handler(ValueError)
def refuse(error: ValueError) -> Response:
    """Respond to a body or query that is not valid."""
    return Response(422, "application/json", {"message": str(error)})


def handler(event: dict, context: object) -> dict:
    """Respond to a request."""
    return app.resolve(event, context)


def _sub() -> str:
    return app.current_event.request_context.authorizer.claims["sub"]


def _found(task: dict | None) -> dict:
    if task is None:
        message = "not found"
        raise NotFoundError(message)
    return task
