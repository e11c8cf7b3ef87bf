"""Values that several resources share: text, times, ids, page sizes, cursors and idempotency keys."""

import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from msgspec import Meta, Struct

# Characters that show nothing: by Unicode category (Cc, Cf, Zs, Zl, Zp), or one of the Default_Ignorable_Code_Points of
# DerivedCoreProperties.txt, or a blank without such a property (U+2800 and U+1D159). Written as part of a character class
# that the regular expressions of all languages read alike; those of JavaScript take no range above U+FFFF without a flag.
_BLANK_TO_FFFF = (
    r"\x00-\x20\x7f-\xa0\xad"
    "\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
BLANK = _BLANK_TO_FFFF + (
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SURROGATES = r"\ud800-\udfff"
_CONTROL = {  # the control characters that a text may not have, by those that it may; CR is read as LF
    "": r"\x00-\x1f\x7f-\x9f",
    "\n": r"\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f",
    "\t\n": r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f",
}
_VISIBLE = f"(?=[{BLANK}{_SURROGATES}]*[^{BLANK}{_SURROGATES}])"
INVISIBLE = re.compile(f"[{BLANK}{_SURROGATES}]")

_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-5][0-9])"
)
_SECOND = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def text(description: str, max_length: int, *, allowed: Literal["", "\n", "\t\n"] = "", visible: bool = True) -> Meta:
    r"""Return the rule of a text without lone surrogates and without control characters but those `allowed`.

    `visible` asks for a character that shows something. The OpenAPI document gets a pattern that the regular expressions of
    all languages read alike (JSON Schema, "Regular Expressions"), and that takes the few characters above U+FFFF that show
    nothing for visible; here it ends in `(?![\s\S])`, since `$` would let a last line feed pass.
    """
    control = _CONTROL[allowed]
    return Meta(
        min_length=1 if visible else None,
        max_length=max_length,
        pattern=rf"^{_VISIBLE if visible else ''}[^{control}{_SURROGATES}]*(?![\s\S])",
        extra_json_schema={"x-pattern": f"^[^{control}]*{f'[^{_BLANK_TO_FFFF}][^{control}]*' if visible else ''}$"},
        description=description,
    )


class Instant(str):
    """A moment in UTC, to the second, of fixed width, so that text order is time order: 2030-01-31T09:00:00Z."""

    __slots__ = ()
    rule = "an RFC 3339 instant with a zone, such as 2030-01-31T09:00:00Z, in the years 0001 to 9999 of UTC"

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read RFC 3339, section 5.6; a fraction of a second is cut off. Raises ValueError for anything else.

        An offset may lack its colon, as the Python client of openapi-generator writes it.
        """
        match = isinstance(value, str) and _RFC_3339.fullmatch(value)
        if not match:
            raise ValueError(cls.rule)
        date, clock, zone = match.groups()
        try:
            moment = datetime.fromisoformat(f"{date}T{clock}{zone.upper()}").astimezone(UTC)
        except OverflowError as error:
            raise ValueError(cls.rule) from error
        return cls(f"{moment.replace(tzinfo=None).isoformat()}Z")


class QueryInstant(Instant):
    """An instant in a query string, where an unescaped `+` has become a blank."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read an instant; a blank can only stand for the `+` of its offset. Raises ValueError."""
        return super().parse(str(value).replace(" ", "+"))


class Limit(int):
    """The number of items on a page."""

    __slots__ = ()
    rule = "a whole number from 1 to 100"

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read the decimal digits of a query string. Raises ValueError for anything else."""
        if not (isinstance(value, str) and re.fullmatch(r"[1-9][0-9]?|100", value)):
            raise ValueError(cls.rule)
        return cls(value)


def described(description: str) -> Meta:
    """Return a description for the OpenAPI document alone; msgspec's own description is the rule that an error quotes."""
    return Meta(extra_json_schema={"description": description})


Cursor = Annotated[
    str,
    Meta(
        extra_json_schema={
            "x-pattern": "^[A-Za-z0-9_-]+$",
            "description": "The `next_cursor` of the page before, for the same list and filter.",
        }
    ),
]
Id = Annotated[str, Meta(pattern=f"^{_UUID7.pattern}$", description="a UUIDv7, which sorts by creation")]
Second = Annotated[str, Meta(pattern=f"^{_SECOND}Z$", description="UTC, to the second")]
Timestamp = Annotated[str, Meta(pattern=rf"^{_SECOND}\.[0-9]{{3}}Z$", description="UTC, to the millisecond")]
Version = Annotated[int, Meta(ge=1, description="1 at creation, one more with each change")]
NextCursor = Annotated[str | None, described("Send it as `cursor` for the page that follows; null exactly when none does.")]


class PageQuery(Struct, frozen=True):
    """The query of a list without a filter."""

    limit: Limit = Limit(25)
    cursor: Cursor | None = None


class IdempotencyKey(Struct, frozen=True):
    """An Idempotency-Key together with the SHA-256 of the JSON value that it was sent with."""

    text: str
    fingerprint: str


class RateLimit(Struct, frozen=True):
    """A limit: `quota` for each window of `seconds`. Windows begin at multiples of `seconds` since the epoch."""

    name: str
    quota: int
    seconds: int

    @property
    def policy(self) -> str:
        """The limit in a RateLimit-Policy header (IETF draft-ietf-httpapi-ratelimit-headers, "RateLimit-Policy Field")."""
        return f'"{self.name}";q={self.quota};w={self.seconds}'


def is_id(value: str) -> bool:
    """Return whether a text is a UUIDv7 in its canonical spelling, the only one that names an item."""
    return _UUID7.fullmatch(value) is not None


def new_id(nanoseconds: int) -> str:
    """Return a UUIDv7 for a time since the epoch; ids of one clock sort by it to a quarter of a microsecond.

    RFC 9562, section 5.7, with the fraction of the millisecond in rand_a (section 6.2, method 3).
    """
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return str(UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)))


def creation_time(item_id: str) -> str:
    """Return the time in a UUIDv7, as RFC 3339 in UTC with milliseconds; it is that of `new_id`."""
    return timestamp(int(item_id.replace("-", "")[:12], 16) * 1_000_000)


def timestamp(nanoseconds: int) -> str:
    """Return a time since the epoch as RFC 3339 in UTC with milliseconds: 2030-01-31T09:00:00.000Z."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()}.{rest // 1_000_000:03d}Z"
