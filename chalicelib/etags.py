"""Entity tags (RFC 9110, section 8.8.3): the version of a task, in quotes."""

import re
from collections.abc import Iterable

from chalicelib.problems import Malformed

_MOST = 100  # the operands that one IN of DynamoDB takes
_TAG = r'(W/)?"([!#-~\x80-\xff]*)"'
_LIST = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_VERSION = re.compile(r"[1-9][0-9]{0,14}")
_NONE = frozenset({0})  # the version that no task has


def etag(version: int) -> str:
    """Return the tag of a version."""
    return f'"{version}"'


def strong(header: str) -> frozenset[int] | None:
    """Return the versions that an If-Match names, None for any; raises Malformed. A weak tag matches nothing (13.1.1)."""
    tags = _tags(header)
    return None if tags is None else _versions(tag for weak, tag in tags if not weak)


def weak(header: str) -> frozenset[int] | None:
    """Return the versions that an If-None-Match names, None for any; raises Malformed (13.1.2)."""
    tags = _tags(header)
    return None if tags is None else _versions(tag for _, tag in tags)


def _tags(header: str) -> list[tuple[str, str]] | None:
    if header.strip() == "*":
        return None
    tags = re.findall(_TAG, header)
    if not _LIST.fullmatch(header) or len(tags) > _MOST:
        message = f'If-Match and If-None-Match take * or up to {_MOST} entity tags, such as "1".'
        raise Malformed(message)
    return tags


def _versions(tags: Iterable[str]) -> frozenset[int]:
    return frozenset(int(tag) for tag in tags if _VERSION.fullmatch(tag)) or _NONE
