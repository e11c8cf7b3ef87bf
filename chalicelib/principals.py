"""Who is calling: a user or a machine."""

from typing import ClassVar

from msgspec import Struct


class User(Struct, frozen=True):
    """A signed-in user, by the `sub` that Cognito never gives to another user."""

    PREFIX: ClassVar = "USER#"

    sub: str
    partition: str
    """The partition key of everything that the user owns: `USER#<sub>`."""


class Machine(Struct, frozen=True):
    """A machine, by the app client that its token was issued to."""

    PREFIX: ClassVar = "CLIENT#"

    client_id: str
    partition: str
    """The partition key of everything that the machine owns: `CLIENT#<client_id>`."""
