"""What a machine can do: send an SMS message, never twice and never without limit.

Reserve the key and the limits (one transaction) -> publish (one attempt) -> record the message id (docs/decisions/0005).
"""

import hashlib
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from chalicelib import log_line
from chalicelib.config import settings
from chalicelib.deadline import DeadlineReached
from chalicelib.dynamodb import records
from chalicelib.dynamodb.records import Counter
from chalicelib.principals import Machine
from chalicelib.problems import Conflict, Internal, Problem, Unavailable, ValidationFailed
from chalicelib.sms.model import Receipt, SmsMessage, count_parts, country, is_barred
from chalicelib.values import IdempotencyKey, RateLimit

if TYPE_CHECKING:
    import boto3  # by this name, Chalice's analyzer finds the calls
else:
    from chalicelib import aws as boto3

# One attempt: SNS does not recognise a message that it has received already, and a second attempt would send it again.
CONFIG = Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1})

_PUBLISH_SECONDS = 4.0  # the time that a call of SNS can take; it must remain when a reservation starts
_CLIENT_ERROR = 4  # the hundreds of the status
_NOT_SENT = (EndpointConnectionError, ConnectTimeoutError, NoCredentialsError, CredentialRetrievalError)
_UNKNOWN = Receipt(None, "unknown")


def _close_connection(request: Any, **_: object) -> None:
    """Use a new connection for each message.

    Lambda purges idle connections (AWS Lambda Developer Guide, "Best practices"), which shows only when one is used again.
    DynamoDB is then called once more, but the outcome of an SMS message would be unknown.
    """
    request.headers["Connection"] = "close"


@cache
def client() -> Any:
    """Return the client of SNS, made with the first message: most instances of the function send none."""
    sns = boto3.client("sns", region_name=settings.region, config=CONFIG)
    sns.meta.events.register("before-send.sns.Publish", _close_connection)
    return sns


def limits() -> list[RateLimit]:
    """Return the limits of the stage: messages of a client, messages to a number, and parts of all."""
    return [
        RateLimit("client", settings.sms_per_client_and_minute, 60),
        RateLimit("number", settings.sms_per_number_and_hour, 3600),
        RateLimit("parts", settings.sms_parts_per_day, 86400),
    ]


def send(machine: Machine, key: IdempotencyKey, message: SmsMessage, ends_at: int) -> tuple[Receipt, bool]:
    """Send a message; return the outcome, and whether it is that of an earlier request with the same key.

    `ends_at` is the second since the epoch when this request has certainly ended. Raises ValidationFailed for a number or a
    message that this stage does not send, IdempotencyKeyReused, Conflict while an earlier request may still be sending,
    TooManyRequests, Unavailable.
    """
    receipt, sent_parts = _send(machine, key, message, ends_at)
    if line := log_line.current.get():
        line.fields |= {"outcome": receipt.status} | ({"sms_parts": sent_parts} if sent_parts else {})
    return receipt, sent_parts == 0


def _send(machine: Machine, key: IdempotencyKey, message: SmsMessage, ends_at: int) -> tuple[Receipt, int]:
    """Return the outcome, and the parts that this request has sent, or may have sent: 0 for a replay."""
    now = int(time.time())
    record = records.record(machine.partition, "sms", key, now)
    try:
        parts = _require_sendable(message)
        counters = _counters(machine, message.to, parts)
    except ValidationFailed:
        earlier = records.find(record)  # sent before the stage became stricter
        if earlier is None:
            raise
    else:
        earlier = records.reserve(record, counters, _PUBLISH_SECONDS, busy_until=str(ends_at))
    if earlier is not None:
        return _replay(earlier, now), 0
    try:
        message_id = _publish(message)
    except Problem:
        with suppress(Unavailable, DeadlineReached):  # else a replay reports `unknown`; this response stays as it is
            records.cancel(record, counters)
        raise
    except DeadlineReached as reached:
        log_line.add_cause(reached)
        return _UNKNOWN, parts  # a replay reports `unknown` as well
    try:
        records.remember(record, "message_id", message_id or "")
    except (Conflict, Unavailable, DeadlineReached) as error:
        log_line.add_cause(error)
        return _UNKNOWN, parts  # the id was not stored, so a replay could not return it
    return _receipt(message_id), parts


def _require_sendable(message: SmsMessage) -> int:
    """Return the number of parts of a message; raises ValidationFailed."""
    errors = []
    parts = count_parts(message.message)
    if country(message.to) not in settings.sms_countries.split(","):
        errors.append({"pointer": "/to", "detail": "must be in a supported country"})
    elif is_barred(message.to):
        kinds = "a premium rate, shared cost, toll-free, pager, voice mail or universal access number"
        errors.append({"pointer": "/to", "detail": f"must not be {kinds}"})
    if parts > settings.sms_max_parts:
        errors.append(
            {
                "pointer": "/message",
                "detail": f"is too long: {parts} SMS parts, at most {settings.sms_max_parts}",
            }
        )
    if errors:
        raise ValidationFailed(errors)
    return parts


def _counters(machine: Machine, number: str, parts: int) -> list[Counter]:
    """Return what a message adds to the limits; a number is stored as its hash."""
    of_client, of_number, of_all_parts = limits()
    destination = hashlib.sha256(number.encode()).hexdigest()
    return [
        Counter(of_client, f"CLIENT#{machine.client_id}"),
        Counter(of_number, f"TO#{destination}"),
        Counter(of_all_parts, "PARTS", parts),
    ]


def _replay(earlier: dict[str, str], now: int) -> Receipt:
    if "message_id" not in earlier and now < int(earlier["busy_until"]):
        raise Conflict
    return _receipt(earlier.get("message_id"))


def _receipt(message_id: str | None) -> Receipt:
    return Receipt(message_id, "sent") if message_id else _UNKNOWN


def _publish(message: SmsMessage) -> str | None:
    """Return the message id, None if the outcome is unknown; raises ValidationFailed, Unavailable, Internal if not sent."""
    attributes = {
        "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": settings.sms_type},
        "AWS.SNS.SMS.MaxPrice": {"DataType": "Number", "StringValue": settings.sms_max_price},
    }
    if settings.sms_sender_id:
        attributes["AWS.SNS.SMS.SenderID"] = {"DataType": "String", "StringValue": settings.sms_sender_id}
    try:
        response = client().publish(PhoneNumber=message.to, Message=message.message, MessageAttributes=attributes)
    except ParamValidationError as error:  # a fault of ours, found before anything was sent
        raise Internal from error
    except _NOT_SENT as error:
        raise Unavailable from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if error.response["ResponseMetadata"]["HTTPStatusCode"] // 100 != _CLIENT_ERROR or not code:
            log_line.add_cause(error)
            return None
        if code in {"InvalidParameter", "InvalidParameterValue"}:
            # The code is the same for a setting of the stage (SNS API Reference, Publish), and the text is not documented.
            detail = "is refused by Amazon SNS, or else the stage's sender id or maximum price is"
            raise ValidationFailed([{"pointer": "/to", "detail": detail}]) from error
        raise Unavailable from error
    except Exception as error:  # noqa: BLE001 - the response was lost or garbled: a parser may raise anything for it
        log_line.add_cause(error)
        return None
    return response.get("MessageId", "").strip() or None
