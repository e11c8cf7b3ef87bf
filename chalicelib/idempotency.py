"""What makes two calls the same call: the client's key and a fingerprint of the body."""

import hashlib
import json
import re

from msgspec import Struct

from chalicelib.problems import Malformed

RETENTION = 24 * 60 * 60  # seconds for which a key is kept

_BARE = re.compile(r"[!#-~][!-~]*")
_QUOTED = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])*)"')  # a string of RFC 9651, section 3.3.3, without blanks


class Key(Struct, frozen=True):
    """An Idempotency-Key together with the SHA-256 of the body that it came with."""

    text: str
    fingerprint: str


def key(header: str, body: object) -> Key:
    """Return the key in a header, bare or quoted, bound to a JSON value; raises Malformed.

    The value decides, not its spelling: the order of members and white space do not count.
    """
    quoted = _QUOTED.fullmatch(header)
    text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header
    if not (quoted or _BARE.fullmatch(header)) or not 1 <= len(text) <= 255:  # noqa: PLR2004 - the limit is told below
        message = "Idempotency-Key must be 1 to 255 visible ASCII characters, bare or as a quoted string."
        raise Malformed(message)
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return Key(text, hashlib.sha256(canonical.encode()).hexdigest())
