"""What the code below HTTP adds to the log line of the current request."""

from contextvars import ContextVar

from msgspec import Struct, field


class Additions(Struct):
    """What is added during one request; the threads of the request may append to the lists at the same time."""

    fields: dict[str, str | int] = field(default_factory=dict)
    """More members of the line."""
    units: list[tuple[str, float]] = field(default_factory=list)
    """Read and write units that DynamoDB says a call has consumed, as ("read_units", 0.5)."""
    causes: list[BaseException] = field(default_factory=list)
    """Errors that the response does not show, such as those behind an unknown outcome."""


current: ContextVar[Additions | None] = ContextVar("additions", default=None)
"""None outside requests, in a background function."""


def add_cause(error: BaseException) -> None:
    """Add an error to the log line of the current request, if there is one."""
    additions = current.get()
    if additions is not None:
        additions.causes.append(error)
