"""A fuzzer finds nothing in a running API that its document does not tell of; `make fuzz` looks for longer."""

from tests.fuzzing import fuzz


def test_a_fuzzer_finds_nothing() -> None:
    found = fuzz(cases=300, examples=6, seed=1)
    assert not found.failures, found.report()
    assert found.statuses.keys() >= {200, 201, 202, 204, 400, 401, 404, 405, 412, 415, 422}
    assert found.steps > 0
