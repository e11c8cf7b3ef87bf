"""Idempotency keys and entity tags, with generated values."""

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.http import request
from chalicelib.http.request import parse_json
from chalicelib.problems import MalformedRequest

TEXT = st.text(st.characters(codec="utf-8"))
VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are one, whose numbers are as they are written and whose members have no order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


def respelt(value: Any, chance: random.Random) -> str:
    """Write a JSON value with its members in another order and blanks between."""
    blank = chance.choice(["", " ", "\n\t"])
    if isinstance(value, dict):
        members = [f"{json.dumps(name)}{blank}:{respelt(inner, chance)}" for name, inner in value.items()]
        return f"{{{blank}{f',{blank}'.join(chance.sample(members, len(members)))}}}"
    if isinstance(value, list):
        return f"[{','.join(blank + respelt(inner, chance) for inner in value)}]"
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


class TestIdempotencyKeys:
    @given(JSON, st.randoms(use_true_random=False))
    def test_another_spelling_of_a_body_is_the_same_request(self, value: Any, chance: random.Random) -> None:
        again = parse_json(respelt(value, chance).encode())
        assert same(value, again)
        assert request.parse_idempotency_key("k", value) == request.parse_idempotency_key("k", again)

    @given(JSON, JSON)
    def test_another_value_is_another_request(self, one: Any, other: Any) -> None:
        equal = request.parse_idempotency_key("k", one).fingerprint == request.parse_idempotency_key("k", other).fingerprint
        assert equal == same(one, other)

    @given(st.text(VISIBLE, min_size=1, max_size=255))
    def test_a_key_is_the_same_bare_or_quoted(self, text: str) -> None:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        assert request.parse_idempotency_key(f'"{escaped}"', {}).text == text
        if not text.startswith('"'):
            assert request.parse_idempotency_key(text, {}).text == text

    @given(st.text())
    def test_any_other_text_is_a_malformed_key(self, text: str) -> None:
        try:
            read = request.parse_idempotency_key(text, {}).text
        except MalformedRequest:
            return
        assert 1 <= len(read) <= 255
        assert set(read) <= set(VISIBLE)


BLANK = st.text(" \t", max_size=2)
COMMAS = st.tuples(BLANK, st.just(","), st.text(" \t,", max_size=3)).map("".join)  # of which a list may have too many
TAG = st.tuples(st.sampled_from(["", "W/"]), st.integers(1, 99).map(str) | st.text(VISIBLE.replace('"', ""), max_size=3))


class TestEntityTags:
    @given(st.lists(TAG, min_size=1, max_size=5), st.data())
    def test_a_list_of_tags_is_parsed(self, tags: list[tuple[str, str]], data: st.DataObject) -> None:
        header = "".join(f'{data.draw(COMMAS) if at else ""}{weak}"{tag}"' for at, (weak, tag) in enumerate(tags))
        versions = {int(tag) for _, tag in tags if tag.isdecimal() and tag[0] != "0"}
        assert request.parse_tags(header) == frozenset(versions or {0})

    @given(st.text('"W/*, \t1a\x00'))
    def test_any_text_is_a_list_or_malformed(self, text: str) -> None:
        try:
            versions = request.parse_tags(text)
        except MalformedRequest:
            return
        assert (versions is None) == (text.strip() == "*")
