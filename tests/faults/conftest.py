"""One emulator for all tests of a process, with several testbeds."""

from collections.abc import Iterator

import pytest

from tests.support.emulator import Emulator, run_emulator
from tests.support.leaks import no_leaks  # noqa: F401 - a fixture
from tests.support.testbed import Testbed, run_testbed


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with run_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def testbed(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    with run_testbed(emulator, tmp_path_factory.mktemp("testbed"), "task-api-testbed") as testbed:
        yield testbed


@pytest.fixture(scope="module")
def own_testbed(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """Return a testbed whose table no other file writes to: the board lists the tasks of all users."""
    with run_testbed(emulator, tmp_path_factory.mktemp("own"), "task-api-own") as testbed:
        yield testbed
