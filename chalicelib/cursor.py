"""Where a page ended, sealed for the one list that it belongs to.

A cursor holds a position, not a key: whose list it is comes from the caller each time. Its seal is a checksum, so that a
damaged or borrowed one is refused. That needs no secret: a forged one moves its forger within the forger's own list.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from chalicelib.problems import InvalidCursor

_SEAL_BYTES = 9


def seal(position: str, *scope: str | None) -> str:
    """Return the cursor for a position in the list that the scope names: caller, list, filter."""
    digest = hashlib.sha256(json.dumps([position, *scope]).encode()).digest()[:_SEAL_BYTES]
    return urlsafe_b64encode(digest + _masked(position.encode(), digest, scope)).decode().rstrip("=")


def unseal(cursor: str, *scope: str | None) -> str:
    """Return the position in a cursor; raises InvalidCursor unless it was sealed for this very scope."""
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = _masked(raw[_SEAL_BYTES:], raw[:_SEAL_BYTES], scope).decode()
    except ValueError as error:
        raise InvalidCursor from error
    if seal(position, *scope) != cursor:
        raise InvalidCursor
    return position


def _masked(data: bytes, digest: bytes, scope: tuple[str | None, ...]) -> bytes:
    """Cover or uncover a position, so that nobody is led to read or build one."""
    mask = hashlib.shake_128(digest + json.dumps(scope).encode()).digest(len(data))
    return bytes(byte ^ cover for byte, cover in zip(data, mask, strict=True))
