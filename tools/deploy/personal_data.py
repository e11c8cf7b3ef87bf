"""The data of one person in a stage: `python -m tools export` prints it, `python -m tools erase` deletes it."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import boto3

from tools.deploy import stack
from tools.errors import CommandError

_REMAINS = """\
What stays, and for how long:
- Point-in-time recovery can restore the items for 35 days.
- Log lines have no names; the hash in `caller` can no longer be traced to anybody. They are kept for LogRetentionInDays.
- An ID token of this person stays valid for up to an hour, and could create tasks: run this again after that hour."""


def export(email: str, stage: str) -> str:
    """Return what a stage stores of the person with an e-mail address, as JSON; raises CommandError."""
    settings, user = _find(email, stage)
    attributes = {attribute["Name"]: attribute["Value"] for attribute in user.get("Attributes", [])}
    account = {"attributes": attributes, "created": str(user["UserCreateDate"]), "status": user["UserStatus"]}
    items = list(_items(settings["TABLE_NAME"], attributes["sub"]))
    return json.dumps({"account": account, "items": items}, indent=1, ensure_ascii=False)


def erase(email: str, stage: str, *, confirmed: bool = False) -> str:
    """Delete the account and the items of a person, and return what was done; raises CommandError.

    Asks for the e-mail address again unless `confirmed`. The account goes first, so that it gets no new tokens. If this ends
    in between, it can be called again with the `sub` that it has printed, in place of the e-mail address.
    """
    settings, user = _find(email, stage)
    sub = next(attribute["Value"] for attribute in user["Attributes"] if attribute["Name"] == "sub")
    if not confirmed:
        print(f"This deletes the account {email} ({sub}) and all its tasks in stage {stage}.", file=sys.stderr)
        if input("Type the e-mail address again to go on: ") != email:
            message = "The e-mail addresses differ. Nothing was deleted."
            raise CommandError(message)
    if "Username" in user:
        boto3.client("cognito-idp").admin_delete_user(UserPoolId=_pool(settings), Username=user["Username"])
    deleted = _delete(settings["TABLE_NAME"], [(item["PK"], item["SK"]) for item in _items(settings["TABLE_NAME"], sub)])
    return f"Deleted the account {email} and {deleted} items.\n{_REMAINS}"


def _find(email: str, stage: str) -> tuple[dict[str, str], Any]:
    """Return the settings of a stage, and the account; raises CommandError."""
    given = {name: os.environ[name] for name in ("TABLE_NAME", "USER_POOL_ARN") if name in os.environ}
    settings = given if len(given) == 2 else stack.read_settings(stage)  # noqa: PLR2004 - both: a stage of Terraform
    quoted = email.replace("\\", "\\\\").replace('"', '\\"')
    name = "email" if "@" in email else "sub"
    users: Any = boto3.client("cognito-idp").list_users(UserPoolId=_pool(settings), Filter=f'{name} = "{quoted}"')["Users"]
    if not users and name == "sub":  # its account is gone: what is left are items
        return settings, {"Attributes": [{"Name": "sub", "Value": email}], "UserCreateDate": "", "UserStatus": "deleted"}
    if len(users) != 1:
        message = f"{len(users)} accounts of stage {stage} have the e-mail address {email}. Check its spelling."
        raise CommandError(message)
    return settings, users[0]


def _pool(settings: dict[str, str]) -> str:
    return settings["USER_POOL_ARN"].rpartition("/")[2]


def _items(table: str, sub: str) -> Iterator[dict[str, Any]]:
    resource: Any = boto3.resource("dynamodb").Table(table)
    condition: dict[str, Any] = {
        "KeyConditionExpression": "PK = :owner",
        "ExpressionAttributeValues": {":owner": f"USER#{sub}"},
        "ConsistentRead": True,
    }
    while True:
        page = resource.query(**condition)
        for item in page["Items"]:
            yield {name: int(value) if hasattr(value, "as_tuple") else value for name, value in item.items()}
        if "LastEvaluatedKey" not in page:
            return
        condition["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _delete(table: str, keys: list[tuple[str, str]]) -> int:
    resource: Any = boto3.resource("dynamodb").Table(table)
    with resource.batch_writer() as batch:  # it sends again what DynamoDB did not process
        for partition, sort in keys:
            batch.delete_item(Key={"PK": partition, "SK": sort})
    return len(keys)
