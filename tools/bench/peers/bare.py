"""The API as one function without a framework, on boto3's resource."""

import json

import checks
import storage

HEADERS = {"Content-Type": "application/json", "Access-Control-Allow-Origin": "https://app.example.com"}


def handler(event: dict, _context: object) -> dict:
    """Respond to a request."""
    try:
        return _route(event)
    except ValueError as error:
        return _response(422, {"message": str(error)})


def _route(event: dict) -> dict:
    sub = event["requestContext"]["authorizer"]["claims"]["sub"]
    task_id = (event["pathParameters"] or {}).get("task_id", "")
    query = event["queryStringParameters"]
    match event["httpMethod"], event["resource"]:
        case "POST", "/tasks":
            task = storage.create(sub, checks.new_task(event["body"]))
            return _response(201, task, Location=f"/tasks/{task['task_id']}")
        case "GET", "/tasks":
            return _response(200, storage.list_tasks(sub, checks.limit(query), (query or {}).get("cursor")))
        case "GET", "/tasks/{task_id}":
            task = storage.read(sub, task_id)
        case "PATCH", "/tasks/{task_id}":
            task = storage.update(sub, task_id, checks.changes(event["body"]))
        case _:
            task = None
    return _response(404, {"message": "not found"}) if task is None else _response(200, task)


def _response(status: int, body: dict, **headers: str) -> dict:
    return {"statusCode": status, "headers": HEADERS | headers, "body": json.dumps(body)}
