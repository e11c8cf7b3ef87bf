"""The data of one person in a stage: `python -m tools export` prints it, `python -m tools erase` deletes it."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3

from tools.errors import CommandError

_SUB = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REMAINS = """\
What stays, and for how long:
- Point-in-time recovery can restore the items for 35 days. A table that was restored before still has them: delete it.
- If the stage limits new tasks, counters have the sub in their key, until DynamoDB deletes them within days.
- Log lines have no names. Whoever still has the sub of this person can compute the hash in `caller`, for LogRetentionInDays.
  AWS X-Ray keeps traces of requests for 30 days: they have paths with ids of tasks, and no names.
- An ID token of this person stays valid for up to an hour, and could create tasks. After that hour, run the same command
  with {} in place of the e-mail address."""


class Place(NamedTuple):
    """Where a stage keeps its data."""

    table: str
    pool: str
    """The id of the user pool."""


class Person(NamedTuple):
    """A user of a stage."""

    sub: str
    account: Any
    """As Cognito describes it; None if it is gone."""


def export(name: str, place: Place) -> str:
    """Return what a stage stores of the person with an e-mail address or a `sub`, as JSON; raises CommandError."""
    person = find(name, place)
    items = list(_items(place, person.sub))
    account = person.account and {
        "attributes": {attribute["Name"]: attribute["Value"] for attribute in person.account["Attributes"]},
        "created": str(person.account["UserCreateDate"]),
        "status": person.account["UserStatus"],
        "groups": _groups(place, person.account["Username"]),
    }
    _require_something(name, place, person, items)
    return json.dumps({"account": account, "items": items}, indent=1, ensure_ascii=False)


def erase(name: str, place: Place, *, confirmed: bool = False) -> str:
    """Delete the account and the items of a person, and return what was done; raises CommandError.

    Asks for the name again unless `confirmed`. The account is disabled first, so that it gets no new tokens, and deleted
    last: if this ends in between, the same call finds the person again.
    """
    person = find(name, place)
    _require_something(name, place, person, list(_items(place, person.sub)))
    if not confirmed:
        _confirm(name, f"the account {name} ({person.sub}) of the user pool {place.pool}, and its items in {place.table}")
    cognito, user = boto3.client("cognito-idp"), {"UserPoolId": place.pool, "Username": ""}
    if person.account:
        user["Username"] = person.account["Username"]
        cognito.admin_disable_user(**user)
    deleted = _delete(place, list(_items(place, person.sub)))
    if person.account:
        cognito.admin_delete_user(**user)
    what = f"the account and {deleted} items" if person.account else f"{deleted} items"
    return f"Deleted {what} of {name} ({person.sub}).\n{_REMAINS.format(person.sub)}"


def _confirm(name: str, what: str) -> None:
    print(f"This deletes {what}.", file=sys.stderr)
    print(f"Type {name} again to go on: ", end="", file=sys.stderr, flush=True)
    typed = sys.stdin.readline().strip()
    if typed != name:
        message = "That is another name. Nothing was deleted. Without a terminal, add --yes."
        raise CommandError(message)


def find(name: str, place: Place) -> Person:
    """Return the person with an e-mail address or a `sub`; raises CommandError."""
    kind = "sub" if _SUB.fullmatch(name) else "email"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    found: Any = boto3.client("cognito-idp").list_users(UserPoolId=place.pool, Filter=f'{kind} = "{quoted}"')["Users"]
    people = [Person(sub_of(account), account) for account in found]
    if len(people) > 1:
        message = f"{len(people)} accounts have the e-mail address {name}. Use the sub of one of them: "
        raise CommandError(message + ", ".join(person.sub for person in people))
    if not people and kind == "email":
        message = f"No account of the user pool {place.pool} has the e-mail address {name}. Check it, or use the sub."
        raise CommandError(message)
    return people[0] if people else Person(name, None)


def sub_of(account: Any) -> str:
    """Return the `sub` of an account that Cognito describes."""
    return next(str(attribute["Value"]) for attribute in account["Attributes"] if attribute["Name"] == "sub")


def _require_something(name: str, place: Place, person: Person, items: list[Any]) -> None:
    if not person.account and not items:
        message = f"Nothing is stored of {name} in {place.table} and {place.pool}. Check the sub."
        raise CommandError(message)


def _groups(place: Place, username: str) -> list[str]:
    """Return the groups of an account, such as admin; it can be in 100, which is more than a page has."""
    pages = boto3.client("cognito-idp").get_paginator("admin_list_groups_for_user")
    found = pages.paginate(UserPoolId=place.pool, Username=username)
    return [group["GroupName"] for page in found for group in page["Groups"]]


def _items(place: Place, sub: str) -> Iterator[dict[str, Any]]:
    table: Any = boto3.resource("dynamodb").Table(place.table)
    condition: dict[str, Any] = {
        "KeyConditionExpression": "PK = :owner",
        "ExpressionAttributeValues": {":owner": f"USER#{sub}"},
        "ConsistentRead": True,
    }
    while True:
        page = table.query(**condition)
        for item in page["Items"]:
            yield {name: int(value) if hasattr(value, "as_tuple") else value for name, value in item.items()}
        if "LastEvaluatedKey" not in page:
            return
        condition["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _delete(place: Place, items: list[dict[str, Any]]) -> int:
    """Delete items, and return how many they were."""
    keys = {(item["PK"], item["SK"]) for item in items}
    table: Any = boto3.resource("dynamodb").Table(place.table)
    with table.batch_writer() as batch:  # it sends again what DynamoDB did not process
        for partition, sort in keys:
            batch.delete_item(Key={"PK": partition, "SK": sort})
    return len(keys)
