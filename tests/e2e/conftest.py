"""What holds for all tests of whole systems."""

from collections.abc import Iterator

import pytest

from tests.support import leaks


@pytest.fixture(scope="session", autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """Fail the last test of a process if an answer or a log line of any has shown what it may not."""
    yield
    assert leaks.FOUND == []
