"""Concurrent clients of a few users, with and without faults: the limit of created tasks is exact."""

import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import pool
from tests.support.emulator import Emulator
from tests.support.faults import inject_random_faults
from tests.support.testbed import Testbed, run_testbed

QUOTA = 7


@pytest.fixture(scope="module")
def limited(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """Return a testbed where a user may create few tasks in a minute."""
    folder, quota = tmp_path_factory.mktemp("quota"), str(QUOTA)
    with run_testbed(emulator, folder, "task-api-quota", TASKS_PER_USER_AND_MINUTE=quota) as testbed:
        yield testbed


@pytest.mark.parametrize("faults", [False, True], ids=["no faults", "faults"])
def test_each_created_task_counts_once_and_none_is_above_the_limit(limited: Testbed, *, faults: bool) -> None:
    users = [str(uuid.uuid4()) for _ in range(2)]

    def run(number: int) -> list[int]:
        rng = random.Random(number)  # noqa: S311 - no secret
        with limited.instance() as instance:
            if faults:
                inject_random_faults(instance.route, number)
            statuses = []
            for _ in range(12):
                key: Any = {"Idempotency_Key": f"k{rng.randrange(30)}"} if rng.random() < 0.5 else {}
                claims = pool.id_claims(rng.choice(users))
                statuses.append(instance(claims, "POST", "/tasks", {"title": "T"}, **key).status)
            return statuses

    with ThreadPoolExecutor(5) as threads:
        statuses = [status for several in threads.map(run, range(5)) for status in several]
    assert set(statuses) <= {201, 409, 429, 503} if faults else {201, 409, 429}
    assert {201, 429} <= set(statuses)
    for user in users:
        counted = [int(item["count"]["N"]) for item in limited.items(f"LIMIT#TASKS#{user}", "2")]
        assert sum(counted) == len(limited.items(f"USER#{user}", "TASK#"))
        assert max(counted) <= QUOTA
