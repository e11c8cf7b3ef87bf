"""Records every AWS call of the app as an IAM action on a resource."""

import threading
from typing import Any

from chalicelib.dynamodb import table
from chalicelib.sms import service as sms

SEEN: set[tuple[str, str]] = set()

_IN_A_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_active = 0
_lock = threading.Lock()


class Recording:
    """Context manager: records only inside the block, so that the AWS calls of a test itself do not count."""

    def __enter__(self) -> None:
        global _active  # noqa: PLW0603 - shared, because the board calls from several threads
        with _lock:
            _active += 1

    def __exit__(self, *_: object) -> None:
        global _active  # noqa: PLW0603
        with _lock:
            _active -= 1


def record(params: dict[str, Any], model: Any, **_: object) -> None:
    if _active:
        service = model.service_model.signing_name
        SEEN.update((f"{service}:{action}", resource) for action, resource in _resources(model.name, params))


def _resources(operation: str, params: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the IAM actions and resources of a call (Service Authorization Reference)."""
    if operation == "TransactWriteItems":
        parts = [(kind, part) for item in params["TransactItems"] for kind, part in item.items()]
        return [(_IN_A_TRANSACTION[kind], _table(part["TableName"])) for kind, part in parts]
    if operation == "BatchGetItem":
        return [(operation, _table(name)) for name in params["RequestItems"]]
    if operation == "Publish":
        return [(operation, "not arn:*:sns:*:*:*" if "PhoneNumber" in params else params["TopicArn"])]
    index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
    return [(operation, _table(params["TableName"]) + index)]


def _table(name: str) -> str:
    return f"arn:*:dynamodb:*:*:table/{name}"


for client in (table.client, sms.client()):
    client.meta.events.register("provide-client-params.*.*", record)
