"""One emulator of AWS for all tests of a process, with a ground on it for each way of using it."""

from collections.abc import Iterator

import pytest

from tests.support import aws
from tests.support.aws import Aws
from tests.support.no_leaks import nothing_leaks  # noqa: F401 - a fixture
from tests.support.sms_clients import STAGE
from tests.support.testbed import Ground, shared


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with aws.running(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def ground(emulator: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with shared(emulator, tmp_path_factory.mktemp("ground"), "task-api-ground") as ground:
        yield ground


@pytest.fixture(scope="module")
def ground_alone(emulator: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Give a ground whose table no other file writes to: the board shows the tasks of all."""
    with shared(emulator, tmp_path_factory.mktemp("alone"), "task-api-alone") as ground:
        yield ground


@pytest.fixture(scope="session")
def tight(emulator: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Give a ground where the limits of texts are soon reached."""
    with shared(emulator, tmp_path_factory.mktemp("tight"), "task-api-tight", **STAGE) as ground:
        yield ground
