"""A browser of the system, driven by Playwright, and the people who use the web app in it."""

import os
import shutil
import site
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.local_server import LocalServer, run_server

# Playwright has an environment of its own: it is large, and only these tests need it.
for folder in (ROOT / ".venv" / "browser").glob("lib/python*/site-packages"):
    site.addsitedir(str(folder))

from tests.browser.person import PATIENCE, Person  # noqa: E402 - it imports Playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start the browser of this machine; without one, skip."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path:
        pytest.skip(f"There is no {', '.join(BROWSERS)} on this machine. On Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed. Run: make .venv/browser")
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as driver:
        # As root, which CI often is, Chromium starts only without its sandbox.
        browser = driver.chromium.launch(executable_path=path, chromium_sandbox=os.getuid() != 0)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:  # noqa: ARG001 - no server without one
    """Run what `make run` runs."""
    with run_server(tmp_path_factory.mktemp("server") / "home") as server:
        yield server


@pytest.fixture
def new_person(browser: Any, server: LocalServer) -> Iterator[Callable[..., Person]]:
    """Return a function that makes a new person, signed in unless said otherwise; the arguments are those of a browser's context."""
    people: list[Person] = []

    def make(email: str = "", *, signed_in: bool = True, **context: Any) -> Person:
        person = Person(browser, server, email, **context)
        people.append(person)
        if signed_in:
            person.sign_in()
        return person

    yield make
    for person in people:
        person.end()


@pytest.fixture
def alice(new_person: Callable[..., Person]) -> Person:
    """Sign in a new person."""
    return new_person()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for screenshots: that of the environment variable SCREENSHOTS, such as docs, or a temporary one."""
    return Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots")).resolve()
