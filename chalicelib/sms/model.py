"""What an SMS message is: the numbers it may go to, and the parts in which it is sent and paid."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from chalicelib.values import text

# The default alphabet of GSM 7 bit, and the characters that take an escape before them (3GPP TS 23.038, section 6.2.1).
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_ESCAPED = frozenset("^{}\\[~]|€")

_BARRED = ("PREMIUM_RATE", "SHARED_COST", "TOLL_FREE", "PAGER", "VOICEMAIL", "UAN")

Number = Annotated[
    str,
    Meta(
        pattern=r"^\+[1-9][0-9]{6,14}(?![\s\S])",
        extra_json_schema={"x-pattern": r"^\+[1-9][0-9]{6,14}$"},
        description="one phone number in E.164 form, such as +12025550100, of a supported country, and no premium rate,"
        " shared cost, toll-free, pager, voice mail or universal access number",
    ),
]
Message = Annotated[
    str,
    text(
        "text of at most 1600 characters and 4 parts, or what the stage allows (160 characters alone or 153 in each part,"
        " 70 or 67 beyond GSM-7), one of them visible, without control characters other than line ends, which are sent as"
        " line feeds",
        1600,  # the maximum of Amazon SNS
        allowed="\n",
    ),
]


class SmsMessage(Struct, frozen=True):
    """A message to send."""

    to: Number
    message: Message


class Receipt(Struct, frozen=True):
    """The outcome: `sent` with the id from Amazon SNS, or `unknown` if the response of SNS was lost."""

    message_id: str | None
    status: Literal["sent", "unknown"]


def country(number: str) -> str | None:
    """Return the country of a number by its numbering plan, such as US for +1 202 and JM for +1 876.

    None if no plan has such a number, or if it is not spelled as in E.164, such as +44 0 20 for +44 20: there are many such
    spellings, and each would have its own limits.
    """
    import phonenumbers  # noqa: PLC0415 - takes 20 ms, which no other route needs

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    if phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) != number:
        return None
    region: str | None = phonenumbers.region_code_for_number(parsed)
    return region


def is_barred(number: str) -> bool:
    """Return whether a number, of a country, costs its callers more than a call, or receives no message."""
    import phonenumbers  # noqa: PLC0415 - as above

    barred = {getattr(phonenumbers.PhoneNumberType, kind) for kind in _BARRED}
    return phonenumbers.number_type(phonenumbers.parse(number)) in barred


def count_parts(message: str) -> int:
    """Return the number of parts of a message: in GSM-7 if possible, else in UCS-2; no character is split.

    Amazon SNS Developer Guide, "Publishing to a mobile phone": 160 characters alone or 153 in each part, 70 or 67 in UCS-2.
    """
    if all(character in _GSM or character in _GSM_ESCAPED for character in message):
        return _pack([2 if character in _GSM_ESCAPED else 1 for character in message], 160, 153)
    return _pack([len(character.encode("utf-16-le")) // 2 for character in message], 70, 67)


def _pack(widths: list[int], alone: int, together: int) -> int:
    if sum(widths) <= alone:
        return 1
    count, room = 0, 0
    for width in widths:
        if width > room:
            count, room = count + 1, together
        room -= width
    return count
