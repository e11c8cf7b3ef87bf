"""Concurrent machines with few keys under low limits: no message is sent twice, and the limits are exact (sms_clients.py)."""

from collections.abc import Iterator

import pytest

from tests.support.emulator import Emulator
from tests.support.sms_clients import STAGE, SmsWorkload
from tests.support.testbed import Testbed, run_testbed


@pytest.fixture(scope="session")
def limited_testbed(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """Return a testbed with low SMS limits."""
    with run_testbed(emulator, tmp_path_factory.mktemp("limited"), "task-api-limited", **STAGE) as testbed:
        yield testbed


@pytest.mark.parametrize("faults", [False, True], ids=["no faults", "faults"])
@pytest.mark.parametrize("seed", range(2))
def test_each_key_sends_one_sms_message_at_most_and_the_limits_are_exact(
    limited_testbed: Testbed, seed: int, *, faults: bool
) -> None:
    workload = SmsWorkload(limited_testbed, seed, faults=faults)
    assert not list(workload.violations())
    assert {request.response.status for request in workload.requests} >= {202, 429}
