"""How the tests of whole systems are spread over processes."""

from collections.abc import Iterator

import pytest

from tests.support import leaks


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a file, and of one way of deploying, in one process: they share what was started or deployed."""
    way = item.callspec.params.get("way", "") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ""
    item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {way}"))


@pytest.fixture(scope="session", autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """Fail the last test of a process if an answer or a log line of any has shown what it may not."""
    yield
    assert leaks.FOUND == []
