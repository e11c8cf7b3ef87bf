"""Lambda events and contexts, as API Gateway and Lambda build them."""

from typing import Any

REQUEST_ID = "11111111-2222-3333-4444-555555555555"


class Context:
    """The part of Lambda's context that the app uses."""

    def __init__(self, milliseconds: int = 60_000) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


def event(
    method: str = "GET", path: str = "/tasks", claims: object = None, body: str | None = None, **changes: Any
) -> dict[str, Any]:
    """Return the event of a request to stage `prod`; keyword arguments replace top-level members."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Authorization": "Bearer whatever"},
        "multiValueHeaders": {"Authorization": ["Bearer whatever"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "body": body,
        "isBase64Encoded": False,
        "requestContext": context(method, path, {"claims": claims}),
    } | changes


def context(method: str = "GET", path: str = "/tasks", authorizer: object = None, **changes: Any) -> dict[str, Any]:
    """Return the requestContext of an event; keyword arguments replace its members."""
    return {
        "apiId": "a1b2c3d4e5",
        "requestId": REQUEST_ID,
        "resourcePath": path,
        "path": f"/prod{path}",
        "httpMethod": method,
        "stage": "prod",
        "authorizer": authorizer,
    } | changes
