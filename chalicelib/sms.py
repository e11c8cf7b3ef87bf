"""What a machine can do: send a text, never twice and never without limit.

reserve (key and limits, in one transaction) -> publish, one attempt -> record what came of it.
"""

import hashlib
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from chalicelib import aws, ledger
from chalicelib.aws import sns
from chalicelib.caller import Machine
from chalicelib.config import settings
from chalicelib.deadline import DeadlineReached
from chalicelib.idempotency import Key
from chalicelib.ledger import Counter
from chalicelib.problems import Conflict, Internal, Invalid, KeyReused, Problem, TooManyRequests, Unavailable
from chalicelib.text import Receipt, Text, country, is_barred, parts

_REFUSED = 4  # the hundreds of the status
_NEVER_LEFT = (EndpointConnectionError, ConnectTimeoutError, NoCredentialsError, CredentialRetrievalError)
_UNKNOWN = Receipt(None, "unknown")


def send(machine: Machine, key: Key, text: Text) -> tuple[Receipt, bool]:
    """Send a text and tell what came of it, and whether an earlier call with the same key did it already.

    Raises Invalid for a number or a message that is not sent from here, KeyReused, Conflict while an earlier call may still
    be sending, TooManyRequests, Unavailable.
    """
    now = int(time.time())
    try:
        size = _checked(text)
        counters = _counters(machine, text.to, size, now)
        earlier = ledger.reserve(machine, key, counters, now)
    except Invalid:
        earlier = ledger.recorded(machine, key, now)  # sent before the stage became stricter
        if earlier is None:
            raise
    if earlier is not None:
        return _replayed(earlier, key, now), True
    try:
        message_id = _published(text)
    except Problem:
        with suppress(Unavailable, DeadlineReached):  # the key tells `unknown` then, and the refusal stays what it is
            ledger.release(machine, key, counters)
        raise
    except DeadlineReached:
        return _UNKNOWN, False  # which is what the reservation tells when this call is over
    try:
        ledger.settle(machine, key, message_id or "")
    except (Conflict, Unavailable, DeadlineReached):
        return _UNKNOWN, False  # what cannot be told again tomorrow is not told today
    return _receipt(message_id), False


def _checked(text: Text) -> int:
    errors = []
    size = parts(text.message)
    if country(text.to) not in settings.sms_countries.split(","):
        errors.append({"pointer": "/to", "detail": "must be a number of a country that is served here"})
    elif is_barred(text.to):
        kinds = "a premium rate, shared cost, toll-free, pager, voice mail or universal access number"
        errors.append({"pointer": "/to", "detail": f"must not be {kinds}"})
    if size > settings.sms_max_parts:
        errors.append({"pointer": "/message", "detail": f"must fit in {settings.sms_max_parts} parts; this takes {size}"})
    if errors:
        raise Invalid(errors)
    return size


def _counters(machine: Machine, number: str, size: int, now: int) -> list[Counter]:
    """Return what this text counts against; a number is kept as its hash."""
    destination = hashlib.sha256(number.encode()).hexdigest()
    return [
        _counter(f"CLIENT#{machine.client_id}", 60, now, 1, settings.sms_per_client_and_minute),
        _counter(f"TO#{destination}", 3600, now, 1, settings.sms_per_number_and_hour),
        _counter("PARTS", 86400, now, size, settings.sms_parts_per_day),
    ]


def _counter(name: str, seconds: int, now: int, amount: int, limit: int) -> Counter:
    start = now - now % seconds
    window = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M")
    return Counter(name, window, amount, limit, start + seconds, TooManyRequests(start + seconds - now))


def _replayed(earlier: dict[str, Any], key: Key, now: int) -> Receipt:
    if earlier["fingerprint"] != key.fingerprint:
        raise KeyReused
    if "message_id" not in earlier and now < int(earlier["busy_until"]):
        raise Conflict
    return _receipt(earlier.get("message_id"))


def _receipt(message_id: str | None) -> Receipt:
    return Receipt(message_id, "sent") if message_id else _UNKNOWN


def _published(text: Text) -> str | None:
    """Return the id of the message, None if nobody can tell whether it did; raises Invalid, Unavailable, Internal if not."""
    attributes = {
        "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": settings.sms_type},
        "AWS.SNS.SMS.MaxPrice": {"DataType": "Number", "StringValue": settings.sms_max_price},
    }
    if settings.sms_sender_id:
        attributes["AWS.SNS.SMS.SenderID"] = {"DataType": "String", "StringValue": settings.sms_sender_id}
    try:
        answer = sns.publish(PhoneNumber=text.to, Message=text.message, MessageAttributes=attributes)
    except ParamValidationError as error:  # a fault of ours, found before anything was sent
        raise Internal from error
    except _NEVER_LEFT as error:
        raise Unavailable from error
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] // 100 != _REFUSED or not aws.code(error):
            return None
        if aws.code(error) in {"InvalidParameter", "InvalidParameterValue"}:
            # Its code is the same for a setting of the stage (SNS API Reference, Publish), and its text is not documented.
            detail = "is refused by Amazon SNS, or else the stage's sender id or maximum price is"
            raise Invalid([{"pointer": "/to", "detail": detail}]) from error
        raise Unavailable from error
    except Exception:  # noqa: BLE001 - the answer was lost or garbled: a parser may raise anything over it
        return None
    return answer.get("MessageId", "").strip() or None
