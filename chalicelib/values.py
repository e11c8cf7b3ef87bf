"""Rules of texts that several resources share: which characters show something, and where a line ends."""

import re

# What shows nothing: by its category in Unicode (Cc, Cf, Zs, Zl, Zp), or as one of the Default_Ignorable_Code_Points of
# DerivedCoreProperties.txt, or as a blank that has no such property: U+2800 and U+1D159. As part of a character class that
# regular expressions of all languages read alike.
BLANK = (
    r"\x00-\x20\x7f-\xa0\xad"
    "\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SURROGATES = r"\ud800-\udfff"
INVISIBLE = re.compile(f"[{BLANK}{_SURROGATES}]")
VISIBLE = f"(?=[{BLANK}{_SURROGATES}]*[^{BLANK}{_SURROGATES}])"
"""Looks ahead for a character that shows something."""

_LINE_END = re.compile(r"\r\n?")


def with_line_feeds(text: str) -> str:
    """Return a text whose lines end in LF alone, whichever way they did."""
    return _LINE_END.sub("\n", text)
