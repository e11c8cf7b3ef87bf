"""A fixture for the tests that several processes run: at the end of each, nothing may have leaked."""

from collections.abc import Iterator

import pytest

from tests.support import leaks


@pytest.fixture(scope="session", autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Fail the last test of a process if an answer or a log line of any has shown what it may not."""
    yield
    assert leaks.FOUND == []
