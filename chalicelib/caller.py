"""Who is calling, and in which request."""

from msgspec import Struct


class Caller(Struct, frozen=True):
    """A user, by the `sub` that Cognito never gives to another; `write` signs what this one request writes."""

    sub: str
    write: str


class Machine(Struct, frozen=True):
    """A machine, by the app client that its token was given to; `busy_until` is when its request is certainly over."""

    client_id: str
    write: str
    busy_until: int
