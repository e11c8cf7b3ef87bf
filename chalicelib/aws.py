"""How AWS is called: how long, how often, and what counts as an outcome."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from chalicelib.config import settings
from chalicelib.deadline import seconds_left
from chalicelib.problems import Conflict, Unavailable

# Stated whole, because the defaults differ between the versions of boto3 that Lambda may bring.
DYNAMODB = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})
# One attempt: SNS does not know a text that it has had already, and a second attempt would send it again.
SNS = Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1})

# On module level and used in plain functions, where Chalice's analyzer finds the calls for the IAM policy.
dynamodb = boto3.client("dynamodb", region_name=settings.region, config=DYNAMODB)
sns = boto3.client("sns", region_name=settings.region, config=SNS)


def _alone(request: Any, **_: object) -> None:
    """Let a text have a connection of its own.

    Lambda purges idle connections (AWS Lambda Developer Guide, "Best practices"), and that shows when one is used again.
    DynamoDB is then asked once more, but nobody would know what became of a text.
    """
    request.headers["Connection"] = "close"


sns.meta.events.register("before-send.sns.Publish", _alone)

ATTEMPT = 1.0
"""Seconds before the deadline in which no further attempt is begun."""
_SHORTEST, _LONGEST = 0.05, 1.0

_OUTCOMES = {"ConditionalCheckFailedException", "TransactionCanceledException"}


@contextmanager
def outcomes() -> Iterator[None]:
    """Let a refused condition pass; raise Conflict for a full partition, and Unavailable for any other failure."""
    try:
        yield
    except (ParamValidationError, Unavailable):  # a fault of ours, or known already
        raise
    except ClientError as error:
        if code(error) == "ItemCollectionSizeLimitExceededException":
            raise full() from error
        if code(error) not in _OUTCOMES:
            raise Unavailable from error
        raise
    except Exception as error:  # timeouts, resets, and all that a parser may raise over what is not an answer of AWS
        raise Unavailable from error


def code(error: ClientError) -> str:
    """Return how AWS calls an error; nothing where what answered was not AWS."""
    return error.response.get("Error", {}).get("Code", "")


def full() -> Conflict:
    """Return the problem of a partition that has reached 10 GB (DynamoDB Developer Guide, "Item collection size limit").

    A 409 and no 503: trying again is of no use, while the caller can make room and then send the request again, which is
    what 409 says (RFC 9110, section 15.5.10). Deletes are carried out in that state.
    """
    return Conflict("What is stored for you has reached its limit of 10 GB. Delete tasks, then send the request again.")


def genuine(answer: Any, *, member: str = "ConsumedCapacity") -> Any:
    """Return an answer of DynamoDB; raises Unavailable for one without a member that it always has, where it was asked for.

    botocore reads any page with status 200 as an answer with nothing in it: a task that is not there, a write that worked.
    """
    if member not in answer:
        raise Unavailable
    return answer


def pauses(spare: float = ATTEMPT) -> Iterator[float]:
    """Yield the seconds to wait before each further attempt at what DynamoDB had no room for, until the deadline is near.

    They grow, and are random from nothing upwards, so that those that met do not meet again (Amazon Builders' Library,
    "Timeouts, retries, and backoff with jitter"). None ends later than `spare` seconds before the deadline.
    """
    longest = _SHORTEST
    while (pause := random.uniform(0, longest)) + spare <= seconds_left():  # noqa: S311 - guards nothing
        yield pause
        longest = min(2 * longest, _LONGEST)


def retried(error: ClientError) -> bool:
    """Tell whether an earlier attempt of the same call may have had an outcome that nobody heard of."""
    return error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
