"""The table without an SDK: signed requests over one connection. No retries, and one error: the floor, and not for use."""

import hashlib
import hmac
import http.client
import json
import os
from datetime import UTC, datetime
from functools import cache
from urllib.parse import urlsplit

from typed import Table

_ENDPOINT = urlsplit(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
_REGION = os.environ["AWS_REGION"]
_connection = http.client.HTTPConnection(_ENDPOINT.hostname, _ENDPOINT.port)


class ConditionFailed(Exception):
    """DynamoDB has refused a request."""


def _send(operation: str, request: dict) -> dict:
    body = json.dumps(request).encode()
    target = f"DynamoDB_20120810.{operation.title().replace('_', '')}"
    _connection.request("POST", "/", body, _signed(target, body))
    with _connection.getresponse() as response:
        content = json.loads(response.read())
        if response.status != http.client.OK:
            raise ConditionFailed
    return content


def _signed(target: str, body: bytes) -> dict[str, str]:
    """Return the headers of a request (AWS General Reference, "Signature Version 4")."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": _ENDPOINT.netloc, "x-amz-date": now}
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    headers["x-amz-target"] = target
    names, scope = ";".join(headers), f"{now[:8]}/{_REGION}/dynamodb/aws4_request"
    lines = "\n".join(f"{name}:{value}" for name, value in headers.items())
    canonical = f"POST\n/\n\n{lines}\n\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = _hmac(_key(now[:8]), text).hex()
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers | {"Content-Type": "application/x-amz-json-1.0", "Authorization": authorization}


@cache
def _key(day: str) -> bytes:
    key = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in (day, _REGION, "dynamodb", "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), "sha256").digest()


table = Table(_send)
