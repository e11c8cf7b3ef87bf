"""A person with a browser window."""

import itertools
import json
from typing import Any
from urllib.parse import urlsplit

from tests.support.local_server import LocalServer

PATIENCE = 120_000  # milliseconds; only a failing test waits that long
_numbers = itertools.count()
COLUMNS = {"pending": "Pending", "in_progress": "In progress", "done": "Done"}


class Person:
    """A person with an account, and a browser window of their own, which shares no cookie with another."""

    def __init__(self, browser: Any, server: LocalServer, email: str = "", **context: Any) -> None:
        self.server, self.app = server, f"http://localhost:{server.web_port}"
        self.email = email or f"person{next(_numbers)}@example.org"
        if not email:
            done = server.tools("signup", self.email)
            assert done.returncode == 0, done.stderr
        self.password = json.loads((server.home / "passwords.json").read_text())[self.email]
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | context)
        self.context.set_default_timeout(PATIENCE)
        self.token = ""
        self.errors: list[str] = []
        self.requests: list[Any] = []
        self.page = self.open_tab()

    def open_tab(self) -> Any:
        """Open another tab of the same window; errors of its scripts fail the test."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if "Security Policy" in line.text else None)
        page.on("request", lambda request: self.requests.append(request))  # noqa: PLW0108 - Playwright marks the function
        return page

    def end(self) -> None:
        """Close the window, and check that no script failed and none was refused."""
        self.context.close()
        assert self.errors == []

    def sign_in(self, page: Any = None) -> None:
        """Sign in on the pages of the user pool, and wait for the board."""
        page = page or self.page
        page.goto(self.app)
        page.get_by_role("button", name="Sign in").click()
        self.fill_in_password(page)
        page.get_by_role("heading", name="Board").wait_for(state="attached")

    def fill_in_password(self, page: Any) -> None:
        """Fill in and submit the form of the user pool."""
        page.get_by_label("Username").fill(self.email)
        page.get_by_label("Password").fill(self.password)
        page.get_by_role("button", name="Sign in").click()

    def add(self, title: str, due: str = "") -> None:
        """Write a new task."""
        self.page.get_by_label("New task", exact=True).fill(title)
        if due:
            self.page.get_by_label("Due date of the new task").fill(due)
        self.page.keyboard.press("Enter")
        self.page.locator("article[aria-busy=false]", has_text=title).wait_for()

    def column(self, status: str, page: Any = None) -> Any:
        """Return a column of the board."""
        return (page or self.page).get_by_role("region", name=COLUMNS[status])

    def task(self, title: str, page: Any = None) -> Any:
        """Return a task that is shown."""
        return (page or self.page).get_by_role("article", name=title, exact=True)

    def open_editor(self, title: str, page: Any = None) -> Any:
        """Open the form of a task and return it."""
        self.task(title, page).get_by_role("heading").click()
        return (page or self.page).get_by_role("form", name=f"Edit {title}")

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request to the API without the browser, as another program of this person would."""
        self.token = self.token or self.server.token(self.email)
        return self.server(method, path, self.token, body, **headers)

    def stored(self) -> list[dict[str, Any]]:
        """Return the person's tasks as the API has them, newest first."""
        tasks: list[dict[str, Any]] = self.call("GET", "/tasks?limit=100").json["tasks"]
        return tasks

    def sent(self, method: str, path: str) -> list[Any]:
        """Return the requests that the page has sent with this method to this path."""
        return [one for one in self.requests if one.method == method and urlsplit(one.url).path == path]
