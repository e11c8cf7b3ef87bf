"""The table with the low-level API, where each value has its type: items to attributes and back, as in boto3's resource."""

import os
from collections.abc import Callable


class Table:
    """Has the methods of boto3's Table that the handlers use; `send` makes a call with typed values."""

    def __init__(self, send: Callable[[str, dict], dict]) -> None:
        self._send = send

    def put_item(self, **request: object) -> dict:
        """Write an item."""
        return self._call("put_item", request)

    def get_item(self, **request: object) -> dict:
        """Read an item."""
        return self._call("get_item", request)

    def query(self, **request: object) -> dict:
        """Read a page of items."""
        return self._call("query", request)

    def update_item(self, **request: object) -> dict:
        """Change an item."""
        return self._call("update_item", request)

    def _call(self, operation: str, request: dict) -> dict:
        typed = {name: _typed(request[name]) for name in ("Item", "Key", "ExpressionAttributeValues") if name in request}
        content = self._send(operation, {"TableName": os.environ["TABLE_NAME"]} | request | typed)
        plain = {name: _plain(content[name]) for name in ("Item", "Attributes") if name in content}
        return plain | {"Items": [_plain(item) for item in content.get("Items", [])]}


def _typed(values: dict) -> dict:
    return {name: {"S": value} if isinstance(value, str) else _typed_other(value) for name, value in values.items()}


def _typed_other(value: int | None) -> dict:
    return {"NULL": True} if value is None else {"N": str(value)}


def _plain(item: dict) -> dict:
    return {name: typed["S"] if "S" in typed else int(typed["N"]) if "N" in typed else None for name, typed in item.items()}
