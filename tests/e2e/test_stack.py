"""Updates, deletion and import of the packaged stack."""

import copy
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.e2e.test_deploy import resources
from tests.support import deployments
from tests.support.emulator import Deployed, run_emulator
from tools.deploy import stack, template
from tools.local import rehearse_aws


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("stack")
    with run_emulator(folder) as emulator:
        yield deployments.package(folder, emulator)[1]


def update(api: Deployed, name: str, **parameters: str) -> Deployed:
    """Update the stack with the same template and these parameters."""
    kept = {"GatewayLogsRole", "AlarmTopicArn", "Dashboard"} - parameters.keys()
    outputs = api.emulator.change_stack(
        "tasks",
        name,
        "update",
        TemplateURL=f"{api.emulator.url}/{rehearse_aws.TEMPLATE}",
        Capabilities=rehearse_aws.CAPABILITIES,
        Parameters=[{"ParameterKey": key, "UsePreviousValue": True} for key in kept]
        + [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    return Deployed(api.emulator, outputs["RestAPIId"], "prod", api.settings)


def test_deploying_the_same_template_again_changes_nothing(api: Deployed) -> None:
    before = resources(api.emulator)
    with suppress(WaiterError):  # no changes if both are expanded in the same second, which is in the name of the deployment
        update(api, "again")
    assert resources(api.emulator) == before


def test_another_origin_is_in_responses_preflights_and_gateway_responses(api: Deployed) -> None:
    changed = update(api, "origin", WebOrigin="https://other.example.com")
    for method, path in (("GET", "/health"), ("OPTIONS", "/tasks"), ("GET", "/nowhere")):
        assert changed(method, path).headers["Access-Control-Allow-Origin"] == "https://other.example.com"
    listed = update(api, "origins", WebOrigin="https://first.example.com,capacitor://localhost")
    for method, path in (("GET", "/health"), ("OPTIONS", "/tasks"), ("GET", "/nowhere")):
        assert listed(method, path).headers["Access-Control-Allow-Origin"] == "https://first.example.com"
    response = listed("GET", "/health", Origin="capacitor://localhost")
    assert response.headers["Access-Control-Allow-Origin"] == "capacitor://localhost"


def test_the_api_is_redeployed_when_a_parameter_in_its_definition_changes() -> None:
    assert template.merge()["Resources"]["RestAPI"]["Properties"]["AlwaysDeploy"] is True


CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/0a1b2c3d-0000-4000-8000-000000000000"


def test_the_stack_creates_a_domain_and_maps_a_base_path_of_it_to_the_stage(api: Deployed) -> None:
    domain = {"ApiDomain": "api.example.com", "ApiCertificateArn": CERTIFICATE}
    update(api, "base-path", **domain, ApiBasePath="v1")
    gateway = api.emulator.client("apigateway")
    created = gateway.get_domain_name(domainName="api.example.com")
    assert (created["regionalCertificateArn"], created["securityPolicy"]) == (CERTIFICATE, "TLS_1_2")
    outputs = api.emulator.outputs("tasks")
    assert outputs["ApiDomainTarget"] == created["regionalDomainName"]
    assert outputs["ApiDomainZoneId"] == created["regionalHostedZoneId"]
    assert api.behind("api.example.com", "v1")("GET", "/health").status == 200
    update(api, "root", **domain)
    assert api.behind("api.example.com")("GET", "/tasks").status == 401
    (mapping,) = gateway.get_base_path_mappings(domainName="api.example.com")["items"]
    assert (mapping["basePath"], mapping["stage"]) == ("(none)", "prod")
    update(api, "no-domain")
    assert gateway.get_domain_names()["items"] == []


def test_the_stack_maps_a_base_path_of_a_domain_that_exists_and_keeps_that(api: Deployed) -> None:
    gateway = api.emulator.client("apigateway")
    gateway.create_domain_name(domainName="apis.example.com", endpointConfiguration={"types": ["REGIONAL"]})
    update(api, "second-stack", ApiDomain="apis.example.com", ApiBasePath="v2")
    assert api.behind("apis.example.com", "v2")("GET", "/health").status == 200
    assert "ApiDomainTarget" not in api.emulator.outputs("tasks")
    update(api, "second-stack-without")
    assert gateway.get_base_path_mappings(domainName="apis.example.com").get("items", []) == []
    gateway.delete_domain_name(domainName="apis.example.com")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ApiBasePath": "v1"}, "ApiCertificateArn and ApiBasePath need ApiDomain."),
        ({"ApiCertificateArn": CERTIFICATE}, "ApiCertificateArn and ApiBasePath need ApiDomain."),
        ({"EmailFrom": "Tasks <tasks@example.com>"}, "EmailIdentityArn and EmailFrom need each other."),
    ],
)
def test_a_parameter_without_the_one_that_it_needs_is_rejected(
    api: Deployed, parameters: dict[str, str], message: str
) -> None:
    with pytest.raises((ClientError, WaiterError), match=message):
        update(api, "incomplete", **parameters)


def test_the_alarms_notify_the_topic_and_watch_the_stage(api: Deployed) -> None:
    alarms = api.emulator.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(alarms) == 8
    for alarm in alarms:
        assert alarm["AlarmActions"] == [topic["TopicArn"] for topic in api.emulator.client("sns").list_topics()["Topics"]]
        watched = [alarm["Namespace"], *(dimension["Value"] for dimension in alarm["Dimensions"])]
        assert any(re.fullmatch("task-api-prod(-.*)?|prod", name) for name in watched)
    body = api.emulator.client("cloudwatch").get_dashboard(DashboardName="task-api-prod")["DashboardBody"]
    (widget,) = (one for one in json.loads(body)["widgets"] if one["type"] == "alarm")
    assert sorted(widget["properties"]["alarms"]) == sorted(alarm["AlarmArn"] for alarm in alarms)


def test_two_updates_replace_an_index_and_keep_the_table(api: Deployed) -> None:
    """The procedure of docs/operate.md for a table with an earlier sort key of GSI1."""
    now = stack.read_template()
    earlier = copy.deepcopy(now)
    earlier["Resources"]["Table"]["Properties"]["GlobalSecondaryIndexes"][0]["KeySchema"][1]["AttributeName"] = "GSI1SK"
    definitions = earlier["Resources"]["Table"]["Properties"]["AttributeDefinitions"]
    definitions.append({"AttributeName": "GSI1SK", "AttributeType": "S"})
    without = copy.deepcopy(earlier)
    table = without["Resources"]["Table"]["Properties"]
    del table["GlobalSecondaryIndexes"]
    table["AttributeDefinitions"] = [one for one in definitions if not one["AttributeName"].startswith("GSI1")]

    cloudformation, dynamodb = api.emulator.client("cloudformation"), api.emulator.client("dynamodb")
    values = {"Stage": "dev", "DomainPrefix": "task-api-dev", "CallbackUrls": "https://app.example.com/callback"}
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]
    request: dict[str, Any] = {"StackName": "task-api-dev", "Parameters": parameters}
    cloudformation.create_stack(**request, TemplateBody=json.dumps(earlier))
    api.emulator.wait("stack_create_complete", StackName="task-api-dev")
    item = {name: {"S": "1"} for name in ("PK", "SK", "GSI1PK", "GSI1SK")}
    dynamodb.put_item(TableName="task-api-dev", Item=item)
    created = dynamodb.describe_table(TableName="task-api-dev")["Table"]
    for body in (without, now):
        cloudformation.update_stack(**request, TemplateBody=json.dumps(body))
        api.emulator.wait("stack_update_complete", StackName="task-api-dev")
    updated = dynamodb.describe_table(TableName="task-api-dev")["Table"]
    sort_keys = [described["GlobalSecondaryIndexes"][0]["KeySchema"][1]["AttributeName"] for described in (created, updated)]
    assert sort_keys == ["GSI1SK", "SK"]
    assert updated["TableId"] == created["TableId"]
    assert dynamodb.get_item(TableName="task-api-dev", Key={"PK": {"S": "1"}, "SK": {"S": "1"}})["Item"] == item


def test_deleting_the_stack_keeps_table_and_user_pool(api: Deployed) -> None:
    api.emulator.client("cloudformation").delete_stack(StackName="tasks")
    api.emulator.wait("stack_delete_complete", StackName="tasks")
    table = api.emulator.client("dynamodb").describe_table(TableName="task-api-prod")["Table"]
    assert table["DeletionProtectionEnabled"] is True
    assert (
        api.emulator.client("cognito-idp").describe_user_pool(UserPoolId=api.pool)["UserPool"]["DeletionProtection"]
        == "ACTIVE"
    )
    assert api.emulator.client("lambda").list_functions()["Functions"] == []
    assert api.emulator.client("apigateway").get_rest_apis()["items"] == []
    with pytest.raises(ClientError, match="protect"):
        api.emulator.client("dynamodb").delete_table(TableName="task-api-prod")


def test_a_new_stack_imports_table_and_user_pool(api: Deployed) -> None:
    identifiers = {"Table": {"TableName": "task-api-prod"}, "UserPool": {"UserPoolId": api.pool}}
    template_body = (api.emulator.log.parent / "checkout" / "dist" / "prod" / "import.json").read_text()
    imported = json.loads(template_body)["Resources"]
    api.emulator.change_stack(
        "tasks",
        "import",
        "import",
        TemplateBody=template_body,
        ResourcesToImport=[
            {"ResourceType": imported[name]["Type"], "LogicalResourceId": name, "ResourceIdentifier": identifier}
            for name, identifier in identifiers.items()
        ],
    )
    updated = update(api, "rest", GatewayLogsRole="false", AlarmTopicArn="", Dashboard="false")
    assert updated("GET", "/health").status == 200
    assert api.settings["USER_POOL_ARN"] in api.emulator.outputs("tasks").values()
