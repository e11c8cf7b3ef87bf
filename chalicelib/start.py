"""The start of a function in Lambda: what is done once, before the first request.

Lambda gives a function a full processor until then, whatever its memory (AWS Lambda Developer Guide, "Lambda execution
environment"); with 512 MB, a request has less than a third of one.
"""

import gc
import os
from contextlib import suppress

from chalicelib import deadline
from chalicelib.deadline import DeadlineReached
from chalicelib.dynamodb import table
from chalicelib.problems import Unavailable

_CONNECT_SECONDS = 1.0


def finish() -> None:
    """Connect the API to DynamoDB, and keep all that is loaded out of later garbage collections.

    The first call loads credentials and certificates and opens the connection. It reads a key that does not exist, and
    needs no permission that the API does not have. A failure is ignored here; the first request would report it.
    """
    if os.environ.get("_HANDLER") == "app.app":  # the authorizer calls no DynamoDB
        with suppress(Unavailable, DeadlineReached):
            deadline.run(_CONNECT_SECONDS, table.get, {"PK": "-", "SK": "-"})
    gc.freeze()
    gc.enable()
