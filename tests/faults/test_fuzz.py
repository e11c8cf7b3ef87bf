"""A short run of the fuzzer against `make run`; `make fuzz` runs longer."""

import json

import pytest

from tests.support.fuzzer import fuzz, is_expected_rejection


def test_the_fuzzer_finds_no_response_that_contradicts_the_document() -> None:
    found = fuzz(cases=300, examples=6, seed=1)
    assert not found.failures, found.report()
    assert found.statuses.keys() >= {
        400,
        401,
        404,
        405,
        412,
        415,
        422,
    }  # that each operation succeeds is a check of the fuzzer
    assert found.steps > 0


@pytest.mark.parametrize(("details", "expected"), [
    (["requires `status`"], True), (["requires `status`", "is not allowed; allowed: title"], False), ([], False),
])  # fmt: skip
def test_the_fuzzer_accepts_a_rejection_only_for_reasons_that_no_schema_can_express(
    details: list[str], *, expected: bool
) -> None:
    errors = [{"pointer": "/title", "detail": detail} for detail in details]
    assert is_expected_rejection({}, json.dumps({"type": "urn:problem:validation", "errors": errors})) is expected
