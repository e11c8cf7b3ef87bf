"""Finds the caller behind a hash in the log lines: `python -m tools caller HASH`."""

import os

import boto3

from tools.deploy.personal_data import Place
from tools.errors import CommandError
from tools.stages import environment_variables, placeholder_settings


def find(hashed: str, stage: str, place: Place, settings: dict[str, str]) -> str:
    """Return the e-mail address and the `sub` of the user, or the id of the machine's client; raises CommandError."""
    os.environ.update(environment_variables(stage) | placeholder_settings() | settings)
    from chalicelib.http.api import describe_caller  # noqa: PLC0415 - it reads the settings
    from chalicelib.principals import Machine  # noqa: PLC0415

    cognito = boto3.client("cognito-idp")
    for page in cognito.get_paginator("list_user_pool_clients").paginate(UserPoolId=place.pool):
        for client in page["UserPoolClients"]:
            name = client["ClientId"]
            if describe_caller(Machine(name, f"{Machine.PREFIX}{name}"))["caller"] == hashed:
                return f"machine {name}  {client['ClientName']}"
    for users in cognito.get_paginator("list_users").paginate(UserPoolId=place.pool):
        for user in users["Users"]:
            attributes = {attribute["Name"]: attribute["Value"] for attribute in user["Attributes"]}
            if hashed in {describe_caller(attributes["sub"])["caller"], describe_caller(user["Username"])["caller"]}:
                return f"user {attributes['sub']}  {attributes.get('email', '')}"
    message = f"No user and no client of the pool {place.pool} has the hash {hashed}: it is of another stage, or deleted."
    raise CommandError(message)
