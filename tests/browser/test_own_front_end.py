"""`make run WEB_ORIGIN=...`: a front end of one's own, with the JavaScript of README, at its own origin."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person
from tests.conftest import ROOT
from tests.support.local_server import LocalServer

SHOW = "listTasks().then((tasks) => { document.querySelector('ul').textContent = tasks.map((task) => task.title); })"


@pytest.fixture
def front_end() -> Iterator[ThreadingHTTPServer]:
    """Serve one page, set in `page`, at every path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(server.page)  # type: ignore[attr-defined]

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def own_server(browser: Any, front_end: ThreadingHTTPServer, tmp_path: Path) -> Iterator[LocalServer]:  # noqa: ARG001 - no server without one
    server = LocalServer(tmp_path / "home")
    server.environment["WEB_ORIGIN"] = f"http://localhost:{front_end.server_address[1]}"
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_the_code_of_readme_signs_in_and_lists_tasks(browser: Any, own_server: LocalServer, front_end: Any) -> None:
    origin = own_server.environment["WEB_ORIGIN"]
    assert f"Pages of {origin} may call the API" in own_server.output.read_text()
    (code,) = re.findall(r"```js\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = code.replace(":8000", f":{own_server.port}").replace(":4566", f":{own_server.aws_port}")
    code = code.replace('"WEB_CLIENT_ID"', f'"{own_server.settings()["WEB_CLIENT_ID"]}"')
    page = f"<button onclick=signIn()>Sign in</button><ul></ul><script>{code}</script><script>if (location.search) {SHOW}</script>"
    front_end.page = page.encode()

    alice = Person(browser, own_server)
    alice.call("POST", "/tasks", {"title": "From README"})
    alice.page.goto(origin)
    alice.page.get_by_role("button", name="Sign in").click()
    alice.fill_in_password(alice.page)
    expect(alice.page.get_by_role("list")).to_have_text("From README")
    alice.end()
