"""The clients of aws.py send what boto3's send and return what boto3's return, with less data of botocore."""

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import botocore
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.parsers import JSONParser

from chalicelib import aws
from tests.support.faults import dynamodb_error
from tests.support.sdk_faults import network, respond_with
from tools.generate import sdk

KEY = {"PK": {"S": "USER#1"}, "SK": {"S": "TASK#1"}}
ITEM: dict[str, Any] = KEY | {"version": {"N": "12"}, "gone": {"NULL": True}, "open": {"BOOL": False}, "name": {"S": "ö\n€"}}
TABLE: dict[str, Any] = {"TableName": "abc", "ReturnConsumedCapacity": "TOTAL"}
VALUES = {"ExpressionAttributeNames": {"#a": "a"}, "ExpressionAttributeValues": {":a": {"S": "b"}, ":n": {"N": "1"}}}
USED = {"ConsumedCapacity": {"TableName": "abc", "CapacityUnits": 1.5}}
PUBLISHED = b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
CALLS: dict[str, tuple[dict[str, Any], Any]] = {
    "get_item": (TABLE | {"Key": KEY, "ConsistentRead": True}, USED | {"Item": ITEM, "New": "unknown to botocore"}),
    "put_item": (TABLE | {"Item": ITEM, "ConditionExpression": "attribute_not_exists(PK)"}, USED),
    "delete_item": (TABLE | VALUES | {"Key": KEY, "ConditionExpression": "#a = :a"}, USED | {"Item": None}),
    "update_item": (TABLE | VALUES | {"Key": KEY, "UpdateExpression": "SET #a = :a"}, USED | {"Attributes": ITEM}),
    "query": (
        TABLE | {"KeyConditionExpression": "PK = :a", "ExpressionAttributeValues": KEY, "Limit": 3, "ExclusiveStartKey": KEY},
        USED | {"Items": [ITEM, KEY], "Count": 2, "LastEvaluatedKey": KEY},
    ),
    "batch_get_item": (
        {"RequestItems": {"abc": {"Keys": [KEY, KEY], "ConsistentRead": True}}},
        {"Responses": {"abc": [ITEM]}, "UnprocessedKeys": {"abc": {"Keys": [KEY]}}},
    ),
    "transact_write_items": (
        {"TransactItems": [{"Put": {"TableName": "abc", "Item": ITEM}}, {"Update": {"TableName": "abc", "Key": KEY, "UpdateExpression": "ADD #a :n"} | VALUES}]},
        {"ConsumedCapacity": [USED["ConsumedCapacity"]]},
    ),
    "publish": ({"PhoneNumber": "+12025550100", "Message": "Hello", "MessageAttributes": {}}, PUBLISHED),
}  # fmt: skip
SERVICES = json.loads(sdk.FILE.read_text())["services"]
CALLED = {xform_name(name): service for service, model in SERVICES.items() for name in model["operations"]}
CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 1})


@pytest.fixture
def fresh() -> Iterator[None]:
    """Make aws.py read its settings again, in this test and in the next one."""
    aws._session.cache_clear()
    yield
    aws._session.cache_clear()


def lean(service: str, region: str = "eu-central-1") -> Any:
    return aws.client(service, region_name=region, config=CONFIG)


def full(service: str, region: str = "eu-central-1") -> Any:
    client: Any = boto3.Session().client(service, region_name=region, config=CONFIG)  # type: ignore[call-overload]
    return client


def exchange(client: Any, operation: str, status: int, body: bytes) -> tuple[Any, Any]:
    """Return the request of a call, without what differs from call to call, and what the client makes of the response."""
    sent: list[Any] = []

    def respond(request: AWSRequest) -> AWSResponse | None:
        each = {"user-agent", "x-amz-date", "authorization", "amz-sdk-invocation-id"}
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() not in each}
        content = request.body if isinstance(request.body, bytes) else request.body.encode()
        content = re.sub(rb"[0-9a-f-]{36}", b"<ClientRequestToken>", content)
        sent.append((request.method, request.url, headers, content))
        return respond_with(status, body)(request)

    with network(respond, client=client):
        try:
            result = getattr(client, operation)(**CALLS[operation][0])
        except ClientError as error:
            result = type(error).__name__, error.response
    return sent, result


@pytest.mark.parametrize("operation", CALLED)
def test_requests_and_responses_are_those_of_boto3(operation: str) -> None:
    response = CALLS[operation][1]
    body = response if isinstance(response, bytes) else json.dumps(response).encode()
    service = CALLED[operation]
    ours = exchange(lean(service), operation, 200, body)
    assert ours == exchange(full(service), operation, 200, body)
    assert len(ours[0]) == 1


REASONS = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Message": "It failed", "Item": ITEM}]


@pytest.mark.parametrize(("operation", "status", "body"), [
    ("update_item", 400, dynamodb_error("ConditionalCheckFailedException", Item=ITEM)),
    ("update_item", 400, dynamodb_error("ConditionalCheckFailedException")),
    ("transact_write_items", 400, dynamodb_error("TransactionCanceledException", CancellationReasons=REASONS)),
    ("get_item", 400, dynamodb_error("ThrottlingException")),
    ("get_item", 400, dynamodb_error("NobodyKnowsThisException")),
    ("get_item", 500, dynamodb_error("InternalServerError")),
    ("get_item", 503, b"<html>busy</html>"),
    ("get_item", 400, b"<html>bad</html>"),
    ("get_item", 200, b"<html>welcome</html>"),
    ("get_item", 200, b""),
])  # fmt: skip
def test_errors_are_those_of_boto3(operation: str, status: int, body: bytes) -> None:
    assert exchange(lean("dynamodb"), operation, status, body) == exchange(full("dynamodb"), operation, status, body)


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_has_the_operations_that_the_app_calls_and_no_others(service: str) -> None:
    called = {name for name, other in CALLED.items() if other == service}
    assert lean(service).meta.method_to_api_mapping.keys() == called


def test_the_generated_data_is_that_of_the_locked_botocore() -> None:
    assert sdk.document() == sdk.FILE.read_text(), "`make generate` writes it anew"
    assert aws._data()


PARTITIONS = Loader().load_data("partitions")
REGIONS = [name for partition in PARTITIONS["partitions"] for name in partition["regions"] if not name.endswith("-global")]


@pytest.mark.parametrize("service", SERVICES)
def test_each_region_has_the_endpoint_that_the_rules_of_botocore_give(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")
    rules = EndpointProvider(Loader().load_service_model(service, "endpoint-rule-set-1"), PARTITIONS)
    assert {"us-east-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"} <= set(REGIONS)
    for region in [*REGIONS, "eu-new-7"]:
        endpoint = rules.resolve_endpoint(Region=region, UseFIPS=False, UseDualStack=False).url
        assert lean(service, region).meta.endpoint_url == endpoint


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "cn-north-1"])
@pytest.mark.parametrize("settings", [
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_ENDPOINT_URL": "http://127.0.0.1:1234"},
    {"AWS_ENDPOINT_URL_DYNAMODB": "https://vpce-1.dynamodb.us-east-1.vpce.amazonaws.com"},
    {"AWS_ENDPOINT_URL": "http://127.0.0.1:1234", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    {"AWS_ACCOUNT_ID": "123456789012", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"},
])  # fmt: skip
@pytest.mark.usefixtures("fresh")
def test_settings_of_the_sdk_count(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], region: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    ours, theirs = (exchange(client("dynamodb", region), "get_item", 200, b"{}") for client in (lean, full))
    assert ours == theirs


@pytest.mark.usefixtures("fresh")
def test_with_another_botocore_all_of_its_data_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not hasattr(lean("dynamodb"), "create_table")
    aws._session.cache_clear()
    monkeypatch.setattr(botocore, "__version__", "1.0.0")
    assert hasattr(lean("dynamodb"), "create_table")


@pytest.mark.usefixtures("fresh")
def test_without_the_generated_file_all_of_botocores_data_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "_DATA", aws._DATA.with_name("missing.json"))
    assert hasattr(lean("dynamodb"), "create_table")


def test_a_service_that_the_app_does_not_call_has_all_of_its_data() -> None:
    assert hasattr(lean("sqs"), "send_message")


def test_calls_have_one_user_agent_that_names_the_sdk() -> None:
    client = lean("dynamodb")
    assert f"Botocore/{botocore.__version__} Python/" in client.meta.config.user_agent
    agents: list[bytes] = []
    client.meta.events.register("before-send", lambda request, **_: agents.append(request.headers["User-Agent"]))
    for operation in ("get_item", "query"):
        exchange(client, operation, 200, b"{}")
    assert agents == [client.meta.config.user_agent.encode()] * 2


def test_botocore_has_the_one_private_name_that_is_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the clients work as well, but JSON is read more slowly."""

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(JSONParser, "_parse_body_as_json", fail)
    result = exchange(lean("dynamodb"), "get_item", 200, b'{"Item": {}}')[1]
    assert result.pop("ResponseMetadata")
    assert result == {"Item": {}}
