"""The stage of the tests: moto for DynamoDB, a key server for Cognito; and its people."""

import json
import os
import secrets
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import moto
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as rules

from tests.support import pool

# A busy machine is no reason to fail, and neither is chance: each run tries the same examples.
rules.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
# For `--hypothesis-profile=thorough`: more examples, and others each time.
rules.register_profile(
    "thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000, print_blob=True
)
rules.load_profile("steady")

signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started here must hear Ctrl-C, though a shell ignored it
ROOT = Path(__file__).parent.parent
TABLE = "task-api-test"

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]  # whatever the shell of a developer points at, the tests do not
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a server whose code changes must not run its old bytecode
os.environ |= {
    "NO_PROXY": "127.0.0.1",  # the key server is on this machine
    "no_proxy": "127.0.0.1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "TABLE_NAME": TABLE,
    "USER_POOL_ARN": pool.ARN,
    "WEB_CLIENT_ID": pool.WEB_CLIENT,
    "MACHINE_CLIENT_IDS": f"another,{pool.MACHINE_CLIENT}",
    "WEB_ORIGIN": "http://localhost:3000",
    "BOARD_SHARDS": "8",
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

from chalice import Chalice  # noqa: E402
from moto.dynamodb.models import dynamodb_backends  # noqa: E402
from msgspec import structs  # noqa: E402

import app  # noqa: E402
from chalicelib import aws, tokens  # noqa: E402 - the settings come first
from chalicelib.config import settings  # noqa: E402
from tests.support import documented, ears, leaks, recorder  # noqa: E402
from tests.support.alarm import Alarm, may_ring_anywhere  # noqa: E402
from tests.support.people import Person  # noqa: E402
from tests.support.selection import is_whole  # noqa: E402


class Watched(Chalice):
    """The app, whose every answer is compared with its document, and searched for what it may not show, as is its log."""

    def __call__(self, event: Any, context: Any) -> Any:
        values = [value for values in (event.get("multiValueQueryStringParameters") or {}).values() for value in values]
        values += (event.get("pathParameters") or {}).values()
        sent = leaks.Sent(event.get("headers") or {}, event.get("body"), values)
        with recorder.Answering(), ears.listening(sent):
            answer = super().__call__(event, context)
        if "requestContext" in event:
            method, path = (event["requestContext"][name] for name in ("httpMethod", "resourcePath"))
            told = answer["statusCode"], answer["headers"], answer["body"]
            documented.fits(method, path, *told)
            leaks.answered(method, path, *told, sent)
        return answer


app.app.__class__ = Watched


def table_properties() -> dict[str, Any]:
    """Return the table of resources.json, less what a second call sets."""
    properties = json.loads((ROOT / ".chalice" / "resources.json").read_text())["Resources"]["Table"]["Properties"]
    later = {
        "TableName",
        "DeletionProtectionEnabled",
        "PointInTimeRecoverySpecification",
        "TimeToLiveSpecification",
        "SSESpecification",
    }
    return {name: value for name, value in properties.items() if name not in later}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "whole: checks what all other tests have seen; runs after them, and only where none was left out"
    )


_deselected: list[pytest.Item] = []


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember what -k, -m, --deselect, --last-failed and their like have left out."""
    _deselected.extend(items)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around all others: they have deselected by then
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Put the tests that are marked `whole` last, or leave them out where this run is a part of the tests."""
    yield
    last = [item for item in items if item.get_closest_marker("whole")]
    items[:] = [item for item in items if item not in last]
    folders = [ROOT / folder for folder in config.getini("testpaths")]
    in_parallel = hasattr(config, "workerinput")  # a process of pytest-xdist sees what its own tests see
    if not (in_parallel or _deselected) and is_whole(config.args, [item.path for item in items], folders):
        items += last
    elif last:
        config.hook.pytest_deselected(items=last)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a skipped test as failed in CI: there it is a missing one."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
    return report


def pytest_unconfigure() -> None:
    """End what was started above, whatever became of the tests."""
    KEY_SERVER.shutdown()
    KEY_SERVER.server_close()
    _aws.stop()


@pytest.fixture(scope="session", autouse=True)
def _stage() -> None:
    aws.dynamodb.create_table(TableName=TABLE, **table_properties())


@pytest.fixture(autouse=True)
def _empty_table() -> None:
    """Empty the table before each test: moto copies the whole of it for each item of each transaction."""
    dynamodb_backends[pool.ACCOUNT][settings.region].tables[TABLE].items.clear()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a request a minute, and the key server too, so that a machine that stands still for a while fails no test."""
    monkeypatch.setattr("chalicelib.middleware.LONGEST", 60.0)
    patient = property(lambda _: 60, lambda *_: None)
    monkeypatch.setattr(tokens.PoolKeys, "timeout", patient, raising=False)


@pytest.fixture
def may_ring() -> Iterator[list[str]]:
    """Let the alarm of a deadline ring anywhere, also where Python ignores it; gives where it was ignored."""
    with may_ring_anywhere() as ignored:
        yield ignored


@pytest.fixture
def alarm(monkeypatch: pytest.MonkeyPatch, may_ring: list[str]) -> Alarm:
    """Start the timer of a deadline where the test says so."""
    del may_ring
    alarm = Alarm()
    monkeypatch.setattr(signal, "setitimer", alarm.set)
    return alarm


@pytest.fixture
def keys() -> Iterator[pool.KeyServer]:
    """Serve the keys of the pool anew: nobody has asked for them yet."""
    reply, status = KEY_SERVER.reply, KEY_SERVER.status
    tokens.pool_keys.cache_clear()
    KEY_SERVER.fetches.clear()
    yield KEY_SERVER
    KEY_SERVER.reply, KEY_SERVER.status = reply, status
    tokens.pool_keys.cache_clear()


@pytest.fixture
def alice() -> Person:
    """Somebody signed in, with no tasks yet."""
    return Person()


@pytest.fixture
def bob() -> Person:
    """Somebody else."""
    return Person()


@pytest.fixture
def admin() -> Person:
    """Somebody in the group admin."""
    return Person(claims={"cognito:groups": ["editors", "admin"]})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Person:
    """Return a machine that may send texts, and that nothing has been counted against."""
    client_id = "machine" + secrets.token_hex(9)
    monkeypatch.setattr("chalicelib.auth.settings", structs.replace(settings, machine_client_ids=f"another,{client_id}"))
    claims = pool.machine_claims(client_id)
    return Person(f"Bearer {pool.token(claims, 'for-access')}")


@pytest.fixture
def nobody() -> Person:
    """Somebody without a token."""
    return Person(authorization=None)


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Stand where Lambda does: its variable is set, and Chalice's server for laptops was never loaded."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "task-api-prod")
    monkeypatch.delitem(sys.modules, "chalice.local")
    return monkeypatch


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Stand on the ground of ground.py, whose every case has people and an instance of its own."""
    from tests.support.ground import prepared  # noqa: PLC0415 - which needs what is above

    with prepared(tmp_path_factory.mktemp("ground")) as ground:
        yield ground
