"""Entity tags (RFC 9110, section 8.8.3): the version of a task, in quotes.

A tag names a version and not bytes. So one that a compressing proxy has made weak, or given a suffix, still names it; else
nobody behind such a proxy could ever change a task. This departs from RFC 9110, section 13.1.1, on purpose.
"""

import re

from chalicelib.problems import Malformed

_MOST = 100  # the operands that one IN of DynamoDB takes
_TAG = r'(?:W/)?"([!#-~\x80-\xff]*)"'
_LIST = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_VERSION = re.compile(r"([1-9][0-9]{0,14})(?:(?:--?|[;:])(?:gzip|br|zstd|deflate))?")
_NONE = frozenset({0})  # the version that no task has


def etag(version: int) -> str:
    """Return the tag of a version."""
    return f'"{version}"'


def versions(header: str) -> frozenset[int] | None:
    """Return the versions that an If-Match or an If-None-Match names, None for any; raises Malformed."""
    if header.strip() == "*":
        return None
    tags = re.findall(_TAG, header)
    if not _LIST.fullmatch(header) or len(tags) > _MOST:
        message = f'If-Match and If-None-Match take * or up to {_MOST} entity tags, such as "1".'
        raise Malformed(message)
    return frozenset(int(match[1]) for tag in tags if (match := _VERSION.fullmatch(tag))) or _NONE
