"""What holds for all tests of whole systems."""

from tests.support.no_leaks import nothing_leaks  # noqa: F401 - a fixture
