"""The API with Powertools for AWS Lambda: router, validation by pydantic, logger and idempotency; on boto3's resource."""

import os
from typing import Annotated

import storage
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from models import NewTask, Task, TaskChanges, TaskPage

app = APIGatewayRestResolver(enable_validation=True, cors=CORSConfig(allow_origin="https://app.example.com"))
logger = Logger(service="tasks")
config = IdempotencyConfig(event_key_jmespath="key", payload_validation_jmespath="new", expires_after_seconds=86400)
records = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE_NAME"])


@app.post("/tasks")
def create(new: NewTask) -> tuple[Task, int]:
    """Create a task, once for each idempotency key of a user."""
    sub, key = _sub(), app.current_event.headers.get("Idempotency-Key")
    if key is None:
        return Task(**storage.create(sub, new.model_dump())), 201
    request = {"sub": sub, "key": f"{sub}#{key}", "new": new.model_dump()}
    return Task(**create_once(request=request)), 201


@idempotent_function(data_keyword_argument="request", persistence_store=records, config=config)
def create_once(request: dict) -> dict:
    """Create a task, or return what an earlier call with the same key has returned."""
    return storage.create(request["sub"], request["new"])


@app.get("/tasks")
def list_tasks(limit: Annotated[int, Query(ge=1, le=100)] = 25, cursor: str | None = None) -> TaskPage:
    """List tasks, newest first."""
    return TaskPage(**storage.list_tasks(_sub(), limit, cursor))


@app.get("/tasks/<task_id>")
def read(task_id: str) -> Task:
    """Read a task."""
    return _found(storage.read(_sub(), task_id))


@app.patch("/tasks/<task_id>")
def update(task_id: str, changes: TaskChanges) -> Task:
    """Change some members of a task."""
    return _found(storage.update(_sub(), task_id, changes.model_dump(exclude_unset=True)))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
def handler(event: dict, context: object) -> dict:
    """Respond to a request, and log a line."""
    config.register_lambda_context(context)
    response = app.resolve(event, context)
    logger.info("request", extra={"route": event["resource"], "status": response["statusCode"]})
    return response


def _sub() -> str:
    return app.current_event.request_context.authorizer.claims["sub"]


def _found(task: dict | None) -> Task:
    if task is None:
        message = "not found"
        raise NotFoundError(message)
    return Task(**task)
