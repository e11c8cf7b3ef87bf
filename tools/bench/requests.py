"""The requests that every function gets, as events of API Gateway, and the environment that it runs in."""

import json
import os
from typing import Any

from tools import stages

SUB = "3a0b9d52-7c1e-4c57-9f6c-0d9f5b1a2e10"
TASK_ID = "01a1f8ac-b459-7dd5-a160-0ddd8d7fcf8f"
NEW = {
    "title": "Water the plants on the balcony",
    "description": "The tomatoes in the morning and in the evening, all others every second day.",
    "due_at": "2030-01-31T09:00:00Z",
}
CHANGES = {"status": "done", "due_at": NEW["due_at"]}
MEMBERS = {"task_id", "title", "description", "status", "due_at", "created_at", "updated_at", "version"}
CREATE, CREATE_ONCE, GET, LIST, UPDATE = "create", "create with key", "get", "list of 100", "update"


def events() -> dict[str, Any]:
    """Return the events by name."""
    one = {"task_id": TASK_ID}
    return {
        CREATE: _event("POST", "/tasks", body=NEW),
        CREATE_ONCE: _event("POST", "/tasks", body=NEW, headers={"Idempotency-Key": "order-17"}),
        GET: _event("GET", "/tasks/{task_id}", parameters=one),
        LIST: _event("GET", "/tasks", query={"limit": "100"}),
        UPDATE: _event("PATCH", "/tasks/{task_id}", parameters=one, body=CHANGES),
    }


def environment(endpoint: str) -> dict[str, str]:
    """Return the environment variables of a function, with this address of DynamoDB."""
    settings = stages.environment_variables("prod") | stages.placeholder_settings()
    return settings | {
        "_HANDLER": "app.app",
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_SESSION_TOKEN": "x" * 900,  # about as long as in Lambda
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "tasks",
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "IDEMPOTENCY_TABLE_NAME": "idempotency",
        "HOME": os.devnull,
        "TZ": "UTC",
    }


def _event(method: str, resource: str, **given: Any) -> dict[str, Any]:
    parameters, query, body = given.get("parameters"), given.get("query"), given.get("body")
    path = resource.format_map(parameters or {})
    client = stages.placeholder_settings()["WEB_CLIENT_ID"]
    claims = {"sub": SUB, "aud": client, "token_use": "id", "cognito:username": SUB, "email": "somebody@example.com"}
    sent = {
        "Accept": "application/json",
        "Authorization": "Bearer " + "x" * 1000,
        "Content-Type": "application/json",
        "Host": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
        "Origin": "https://app.example.com",
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
    } | given.get("headers", {})
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": query and {name: [value] for name, value in query.items()},
        "pathParameters": parameters,
        "stageVariables": None,
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "a1b2c3d4e5",
            "authorizer": {"claims": claims},
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": sent["User-Agent"]},
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": "11111111-2222-3333-4444-555555555555",
            "resourcePath": resource,
            "stage": "prod",
        },
    }
