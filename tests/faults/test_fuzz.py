"""A fuzzer finds nothing in a running API that its document does not tell of; `make fuzz` looks for longer."""

import json

import pytest

from tests.support.fuzzer import beyond, fuzz


def test_the_fuzzer_finds_no_answer_that_contradicts_the_document() -> None:
    found = fuzz(cases=300, examples=6, seed=1)
    assert not found.failures, found.report()
    assert found.statuses.keys() >= {400, 401, 404, 405, 412, 415, 422}  # each operation has succeeded, or failures tell
    assert found.steps > 0


@pytest.mark.parametrize(("details", "excused"), [
    (["requires `status`"], True), (["requires `status`", "is not allowed; allowed: title"], False), ([], False),
])  # fmt: skip
def test_the_fuzzer_excuses_a_refusal_only_for_what_no_schema_can_say(details: list[str], excused: bool) -> None:  # noqa: FBT001 - a case
    errors = [{"pointer": "/title", "detail": detail} for detail in details]
    assert beyond({}, json.dumps({"type": "urn:problem:validation", "errors": errors})) is excused
