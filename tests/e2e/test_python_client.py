"""The Python client against `make run`, through the fault proxy: one task and one SMS message, whatever is lost."""

import itertools
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import taskapi
from taskapi import ClientCredentials, TaskApi

from tests.conftest import ROOT
from tests.support import faults
from tests.support.local_server import (
    TIMEOUT,
    LocalServer,
    clean_environment,
    copy_checkout,
    free_port,
    lengthen_timeouts,
    run_server,
)
from tests.support.proxy import Exchange, Fault, Proxy, Route, http_response

CLIENT = ROOT / "clients" / "python"
SHORT_TIMEOUT = 10.0  # seconds; far more than a response takes
_PATIENT: Any = {"attempts": 30, "max_seconds": TIMEOUT, "timeout": TIMEOUT}
_numbers = itertools.count()


def problem(status: int, slug: str, *, handled: bool = False) -> Fault:
    """Respond with a problem; `handled` says whether the API handles the request before."""

    def fault(exchange: Exchange) -> None:
        if handled:
            exchange.forward()
        body = json.dumps({"type": f"urn:problem:{slug}", "title": slug, "status": status}).encode()
        exchange.send(http_response(status, {"Content-Type": "application/problem+json", "Retry-After": "1"}, body))

    return fault


class Case(NamedTuple):
    """What the first attempts of a call meet, and whether the API has handled one of them then."""

    faults: tuple[Fault, ...]
    handled: bool
    hangs: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Return options of the client by which it comes to an end soon, but not before the API."""
        timeout = {"timeout": SHORT_TIMEOUT} if self.hangs else {}
        return timeout if self.faults else {"transport": FirstRefused()}


REFUSED = "refused"
CASES = {
    REFUSED: Case((), handled=False),
    "reset before": Case((faults.reset_before,), handled=False),
    "reset after": Case((faults.reset_after,), handled=True),
    "truncated": Case((faults.truncated,), handled=True),
    "garbled": Case((faults.garbled,), handled=True),
    "HTML page": Case((faults.html_page,), handled=True),
    "hang before": Case((faults.hang_before,), handled=False, hangs=True),
    "hang after": Case((faults.hang_after,), handled=True, hangs=True),
    "503": Case((problem(503, "unavailable"),), handled=False),
    "503 after": Case((problem(503, "unavailable", handled=True),), handled=True),
    "429": Case((problem(429, "too-many-requests"),), handled=False),
    "several": Case((faults.reset_after, problem(503, "unavailable", handled=True), faults.truncated), handled=True),
}


class FirstRefused(httpx.HTTPTransport):
    """Sends the first request to a port where nobody listens."""

    def __init__(self) -> None:
        super().__init__()
        self._ports = iter([free_port()])

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if port := next(self._ports, None):
            request.url = request.url.copy_with(port=port)
        return super().handle_request(request)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Serve a copy without SMS limits, since the cases send more than a minute allows."""
    folder = tmp_path_factory.mktemp("client")
    checkout = lengthen_timeouts(copy_checkout(folder / "checkout"))
    config_file = checkout / ".chalice" / "config.json"
    config = json.loads(config_file.read_text())
    limits = ("SMS_PER_CLIENT_AND_MINUTE", "SMS_PER_NUMBER_AND_HOUR", "SMS_PARTS_PER_DAY")
    config["stages"]["local"]["environment_variables"] |= dict.fromkeys(limits, "1000000")
    config_file.write_text(json.dumps(config))
    with run_server(folder / "home", checkout) as server:
        yield server


class Stage(NamedTuple):
    """The addresses of the API and the token endpoint through the proxy, and the credentials."""

    api: Route
    sign_in: Route
    user: str
    client_id: str
    client_secret: str

    def connect(self, *, machine: bool = False, **options: Any) -> TaskApi:
        return TaskApi(self.api.url, self.credentials() if machine else self.user, **_PATIENT | options)

    def credentials(self, **options: Any) -> ClientCredentials:
        url = f"{self.sign_in.url}/oauth2/token"
        return ClientCredentials(url, self.client_id, self.client_secret, **_PATIENT | options)


@pytest.fixture(scope="module")
def origin(server: LocalServer) -> Iterator[tuple[Proxy, LocalServer, str, str, str]]:
    settings = server.settings()
    client_id, pool = settings["MACHINE_CLIENT_IDS"], settings["USER_POOL_ARN"].rpartition("/")[2]
    described = server.client("cognito-idp").describe_user_pool_client(UserPoolId=pool, ClientId=client_id)
    with Proxy() as proxy:
        yield proxy, server, server.token("alice"), client_id, described["UserPoolClient"]["ClientSecret"]


@pytest.fixture
def stage(origin: tuple[Proxy, LocalServer, str, str, str]) -> Stage:
    """Return a stage whose routes have met no fault."""
    proxy, server, *credentials = origin
    return Stage(proxy.route(server.url), proxy.route(f"http://127.0.0.1:{server.aws_port}"), *credentials)


def inbox(server: LocalServer, number: str) -> list[str]:
    """Return the messages that were sent to a number."""
    return [line.partition("  ")[2] for line in server.tools("inbox").stdout.splitlines() if line.startswith(number)]


@pytest.mark.parametrize("name", CASES)
class TestWhateverIsLost:
    def test_one_task_is_stored(self, stage: Stage, name: str) -> None:
        title, case = f"one {next(_numbers)}", CASES[name]
        stage.api.plan("POST", case.faults)
        with stage.connect(**case.options) as api:
            created = api.tasks.create(title=title)
        assert stage.api.seen["POST"] >= len(case.faults) + (name != REFUSED)
        with stage.connect() as api:
            assert [task.task_id for task in api.tasks.list() if task.title == title] == [created.task_id]

    def test_one_change_is_made(self, stage: Stage, name: str) -> None:
        case = CASES[name]
        with stage.connect() as api:
            task = api.tasks.create(title="old")
        stage.api.plan("PATCH", case.faults)
        with stage.connect(**case.options) as api:
            if case.handled:
                with pytest.raises(taskapi.VersionMismatch) as raised:
                    api.tasks.update(task, title="new")
                assert (raised.value.outcome_unknown, raised.value.etag) == (True, '"2"')
            else:
                assert api.tasks.update(task, title="new").version == 2
            stored = api.tasks.get(task.task_id)
        assert (stored.title, stored.version) == ("new", 2)

    def test_the_task_is_deleted(self, stage: Stage, name: str) -> None:
        case = CASES[name]
        with stage.connect() as api:
            task = api.tasks.create(title="old")
        stage.api.plan("DELETE", case.faults)
        with stage.connect(**case.options) as api:
            api.tasks.delete(task)
            with pytest.raises(taskapi.NotFound):
                api.tasks.get(task.task_id)

    def test_one_sms_message_is_sent(self, stage: Stage, server: LocalServer, name: str) -> None:
        number, case = f"+1202555{next(_numbers):04d}", CASES[name]
        stage.api.plan("POST", case.faults)
        with stage.connect(machine=True, **case.options) as api:
            assert api.sms.send(number, "Hello").status == "sent"
        assert stage.api.seen["POST"] >= len(case.faults) + (name != REFUSED)
        assert inbox(server, number) == ["Hello"]

    def test_one_token_serves_all_calls(self, stage: Stage, name: str) -> None:
        case = CASES[name]
        stage.sign_in.plan("POST", case.faults)
        token = stage.credentials(**case.options)
        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(lambda _: token(), range(32)))) == 1
        assert stage.sign_in.seen["POST"] == len(case.faults) + 1


def test_a_list_is_complete_although_every_second_response_is_lost(stage: Stage) -> None:
    stage.api.plan("GET", itertools.cycle([faults.reset_after, None]))
    with stage.connect() as api:
        created = [api.tasks.create(title=f"page {number}", status="done").task_id for number in range(101)]
        listed = [task.task_id for task in api.tasks.list() if task.title.startswith("page ")]
    assert listed == created[::-1]
    assert stage.api.faulted["GET"] >= 2


def test_a_call_that_has_failed_can_be_made_again_with_its_key(stage: Stage) -> None:
    stage.api.plan("POST", itertools.repeat(problem(503, "unavailable", handled=True)))
    with stage.connect(attempts=3) as api, pytest.raises(taskapi.Unavailable) as raised:
        api.tasks.create(title="three attempts")
    assert (stage.api.seen["POST"], raised.value.outcome_unknown) == (3, True)
    stage.api.clear()
    with stage.connect() as api:
        again = api.tasks.create(title="three attempts", idempotency_key=raised.value.idempotency_key)
        assert [task.task_id for task in api.tasks.list() if task.title == "three attempts"] == [again.task_id]


def test_the_client_is_installed_from_the_checkout_with_its_types(tmp_path: Path) -> None:
    source = copy_checkout(tmp_path / "checkout") / "clients" / "python"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    subprocess.run(command, check=True, env=clean_environment(PIP_NO_INDEX="1"))
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {"taskapi/__init__.py", "taskapi/py.typed"}
    metadata = zipfile.ZipFile(wheel).read(f"{wheel.name.rsplit('-', 3)[0]}.dist-info/METADATA").decode()
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == ["Requires-Dist: httpx<1,>=0.27"]
