"""Fixtures for all end-to-end tests."""

from tests.support.leaks import no_leaks  # noqa: F401 - a fixture
