"""The stage of the tests (moto for DynamoDB, a key server for Cognito) and the fixtures, among them the callers."""

import json
import os
import secrets
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as rules

from tests.support import pool

# No deadline, since the machine may be busy; the same examples in each run.
rules.register_profile(
    "deterministic", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
# For `--hypothesis-profile=thorough`: more examples, random in each run.
rules.register_profile(
    "thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000, print_blob=True
)
rules.load_profile("deterministic")

signal.signal(signal.SIGINT, signal.default_int_handler)  # child processes must not inherit an ignored SIGINT
ROOT = Path(__file__).parent.parent
TABLE = "task-api-test"

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]  # the tests use no AWS account of the developer
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a reloaded server must not run its old bytecode
os.environ |= {
    "NO_PROXY": "127.0.0.1",  # the key server is on this machine
    "no_proxy": "127.0.0.1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "TABLE_NAME": TABLE,
    "USER_POOL_ARN": pool.ARN,
    "WEB_CLIENT_ID": pool.WEB_CLIENT,
    "MACHINE_CLIENT_IDS": f"another,{pool.MACHINE_CLIENT}",
    "SIGN_IN_URL": "https://sign-in.example.com",
    "WEB_ORIGIN": "http://localhost:3000",
    "STATUS_INDEX_SHARDS": "8",
    "TASKS_PER_USER_AND_MINUTE": "0",
    "SMS_COUNTRIES": "US,GB",
    "SMS_PER_CLIENT_AND_MINUTE": "5",
    "SMS_PER_NUMBER_AND_HOUR": "3",
    "SMS_PARTS_PER_DAY": "1000",
    "SMS_MAX_PARTS": "4",
    "SMS_SENDER_ID": "Tasks",
    "SMS_TYPE": "Transactional",
    "SMS_MAX_PRICE": "0.10",
}

_aws = moto.mock_aws()
_aws.start()  # before the app makes its clients
KEY_SERVER = pool.serve()
os.environ["AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"] = KEY_SERVER.url

from moto.dynamodb.models import dynamodb_backends  # noqa: E402
from msgspec import structs  # noqa: E402

import app  # noqa: E402
from chalicelib.auth import tokens  # noqa: E402 - the settings come first
from chalicelib.config import settings  # noqa: E402
from chalicelib.http.api import Api  # noqa: E402
from tests.support import documented, leaks, log_capture, recorder  # noqa: E402
from tests.support.alarm import Alarm, collect_ignored_alarms  # noqa: E402
from tests.support.people import Person  # noqa: E402
from tests.support.selection import is_complete  # noqa: E402


class CheckedApp(Api):
    """The app; checks each response against the OpenAPI document, and each response and log for leaks."""

    def __call__(self, event: Any, context: Any) -> Any:
        values = [value for values in (event.get("multiValueQueryStringParameters") or {}).values() for value in values]
        values += (event.get("pathParameters") or {}).values()
        sent = leaks.Sent(event.get("headers") or {}, event.get("body"), values)
        with recorder.Recording(), log_capture.capture_output(sent):
            response = super().__call__(event, context)
        if "requestContext" in event:
            method, path = (event["requestContext"][name] for name in ("httpMethod", "resourcePath"))
            parts = response["statusCode"], response["headers"], response["body"]
            documented.assert_documented(method, path, *parts)
            leaks.check_response(method, path, *parts, sent)
        return response


app.app.__class__ = CheckedApp


def table_properties() -> dict[str, Any]:
    """Return the properties of the table in resources.json that create_table takes."""
    properties = json.loads((ROOT / ".chalice" / "resources.json").read_text())["Resources"]["Table"]["Properties"]
    later = {
        "TableName",
        "DeletionProtectionEnabled",
        "PointInTimeRecoverySpecification",
        "TimeToLiveSpecification",
        "SSESpecification",
        "StreamSpecification",
    }
    return {name: value for name, value in properties.items() if name not in later}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "aggregate: checks what all other tests have recorded; runs after them, and only in a complete run"
    )


_deselected: list[pytest.Item] = []


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Store the tests that -k, -m, --deselect, --last-failed or another option deselects."""
    _deselected.extend(items)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # after all others: they have deselected by then
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Move the tests that are marked `aggregate` to the end, or deselect them if this run is incomplete."""
    yield
    last = [item for item in items if item.get_closest_marker("aggregate")]
    items[:] = [item for item in items if item not in last]
    folders = [ROOT / folder for folder in config.getini("testpaths")]
    in_parallel = hasattr(config, "workerinput")  # a process of pytest-xdist runs only some of the tests
    if not (in_parallel or _deselected) and is_complete(config.args, [item.path for item in items], folders):
        items += last
    elif last:
        config.hook.pytest_deselected(items=last)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a skipped test as failed in CI."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
    return report


def pytest_unconfigure() -> None:
    """Stop what was started above."""
    KEY_SERVER.shutdown()
    KEY_SERVER.server_close()
    _aws.stop()


@pytest.fixture(scope="session", autouse=True)
def _stage() -> None:
    boto3.client("dynamodb", region_name=settings.region).create_table(TableName=TABLE, **table_properties())


@pytest.fixture(autouse=True)
def _empty_table() -> None:
    """Empty the table before each test: moto copies it for each item of each transaction."""
    dynamodb_backends[pool.ACCOUNT][settings.region].tables[TABLE].items.clear()


@pytest.fixture(autouse=True)
def _long_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a request and the key server a minute, so that no test fails on a busy machine."""
    monkeypatch.setattr("chalicelib.deadline.REQUEST_TIMEOUT", 60.0)
    monkeypatch.setattr("chalice.local.LambdaContext.get_remaining_time_in_millis", lambda _: 60_500)
    timeout = property(lambda _: 60, lambda *_: None)
    monkeypatch.setattr(tokens.JwksClient, "timeout", timeout, raising=False)


@pytest.fixture
def ignored_alarms() -> Iterator[list[str]]:
    """Allow alarms where Python ignores exceptions, and return where it has ignored them."""
    with collect_ignored_alarms() as ignored:
        yield ignored


@pytest.fixture
def alarm(monkeypatch: pytest.MonkeyPatch, ignored_alarms: list[str]) -> Alarm:
    """Return a fake for the timer of the deadline, which the test starts."""
    del ignored_alarms
    alarm = Alarm()
    monkeypatch.setattr(signal, "setitimer", alarm.set)
    return alarm


@pytest.fixture
def keys() -> Iterator[pool.KeyServer]:
    """Return the key server; the app has not fetched the keys yet."""
    reply, status = KEY_SERVER.reply, KEY_SERVER.status
    tokens.jwks_client.cache_clear()
    KEY_SERVER.fetches.clear()
    yield KEY_SERVER
    KEY_SERVER.reply, KEY_SERVER.status = reply, status
    tokens.jwks_client.cache_clear()


@pytest.fixture
def alice() -> Person:
    """Return a signed-in user without tasks."""
    return Person()


@pytest.fixture
def bob() -> Person:
    """Return another user."""
    return Person()


@pytest.fixture
def admin() -> Person:
    """Return a user in the group admin."""
    return Person(claims={"cognito:groups": ["editors", "admin"]})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Person:
    """Return a machine that may send SMS messages, with unused limits."""
    client_id = "machine" + secrets.token_hex(9)
    monkeypatch.setattr(
        "chalicelib.auth.authorizers.settings", structs.replace(settings, machine_client_ids=f"another,{client_id}")
    )
    claims = pool.machine_claims(client_id)
    return Person(f"Bearer {pool.token(claims, 'for-access')}")


@pytest.fixture
def nobody() -> Person:
    """Return a caller without a token."""
    return Person(authorization=None)


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Imitate Lambda: set its variable, and unload Chalice's local server."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "task-api-prod")
    monkeypatch.delitem(sys.modules, "chalice.local")
    return monkeypatch
