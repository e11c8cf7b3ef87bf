"""The packaged stack, deployed again and deleted."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.e2e.test_deploy import there
from tests.support import aws as e2e
from tests.support import deployments
from tests.support.aws import Deployed
from tools.deploy import template


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("stack")
    with e2e.running(folder) as aws:
        yield deployments.package(folder, aws)[1]


def updated(api: Deployed, name: str, **chosen: str) -> Deployed:
    """Deploy the same template once more, with other parameters."""
    cloudformation, patience = api.aws.client("cloudformation"), {"Delay": 1, "MaxAttempts": 300}
    change_set = {"StackName": "tasks", "ChangeSetName": name}
    kept = {"GatewayLogsRole", "AlarmTopicArn", "Dashboard"} - chosen.keys()
    cloudformation.create_change_set(
        **change_set,
        TemplateURL=f"{api.aws.url}/handed-over/template.json",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": key, "UsePreviousValue": True} for key in kept]
        + [{"ParameterKey": key, "ParameterValue": value} for key, value in chosen.items()],
    )
    cloudformation.get_waiter("change_set_create_complete").wait(**change_set, WaiterConfig=patience)
    cloudformation.execute_change_set(**change_set)
    cloudformation.get_waiter("stack_update_complete").wait(StackName="tasks", WaiterConfig=patience)
    outputs = cloudformation.describe_stacks(StackName="tasks")["Stacks"][0]["Outputs"]
    (api_id,) = [output["OutputValue"] for output in outputs if output["OutputKey"] == "RestAPIId"]
    return Deployed(api.aws, api_id, "prod", api.settings)


def test_deploying_the_same_template_again_changes_nothing(api: Deployed) -> None:
    before = there(api.aws)
    with suppress(WaiterError):  # nothing to do, where both are expanded in one second: the deployment is named by the time
        updated(api, "again")
    assert there(api.aws) == before


def test_another_origin_reaches_answers_preflights_and_refusals(api: Deployed) -> None:
    changed = updated(api, "origin", WebOrigin="https://other.example.com")
    for method, path in (("GET", "/health"), ("OPTIONS", "/tasks"), ("GET", "/nowhere")):
        assert changed(method, path).headers["Access-Control-Allow-Origin"] == "https://other.example.com"


def test_a_parameter_in_the_definition_is_deployed() -> None:
    assert template.merge()["Resources"]["RestAPI"]["Properties"]["AlwaysDeploy"] is True


def test_the_alarms_of_a_stack_reach_the_topic_and_watch_its_stage(api: Deployed) -> None:
    alarms = api.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(alarms) == 7
    for alarm in alarms:
        assert alarm["AlarmActions"] == [topic["TopicArn"] for topic in api.aws.client("sns").list_topics()["Topics"]]
        assert {"task-api-prod", "prod"} & {dimension["Value"] for dimension in alarm["Dimensions"]}
    assert api.aws.client("cloudwatch").list_dashboards()["DashboardEntries"][0]["DashboardName"] == "task-api-prod"


def test_a_stack_that_is_deleted_leaves_the_data(api: Deployed) -> None:
    cloudformation = api.aws.client("cloudformation")
    cloudformation.delete_stack(StackName="tasks")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="tasks", WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    left = api.aws.client("dynamodb").describe_table(TableName="task-api-prod")["Table"]
    assert left["DeletionProtectionEnabled"] is True
    assert (
        api.aws.client("cognito-idp").describe_user_pool(UserPoolId=api.pool)["UserPool"]["DeletionProtection"] == "ACTIVE"
    )
    assert api.aws.client("lambda").list_functions()["Functions"] == []
    assert api.aws.client("apigateway").get_rest_apis()["items"] == []
    with pytest.raises(ClientError, match="protect"):
        api.aws.client("dynamodb").delete_table(TableName="task-api-prod")


def test_a_new_stack_takes_up_the_data(api: Deployed) -> None:
    cloudformation = api.aws.client("cloudformation")
    identifiers = {"Table": {"TableName": "task-api-prod"}, "UserPool": {"UserPoolId": api.pool}}
    data = (api.aws.log.parent / "checkout" / "dist" / "prod" / "import.json").read_text()
    resources = json.loads(data)["Resources"]
    taken = {"StackName": "tasks", "ChangeSetName": "import"}
    cloudformation.create_change_set(
        **taken,
        ChangeSetType="IMPORT",
        TemplateBody=data,
        ResourcesToImport=[
            {"ResourceType": resources[name]["Type"], "LogicalResourceId": name, "ResourceIdentifier": identifier}
            for name, identifier in identifiers.items()
        ],
    )
    patience = {"Delay": 1, "MaxAttempts": 300}
    cloudformation.get_waiter("change_set_create_complete").wait(**taken, WaiterConfig=patience)
    cloudformation.execute_change_set(**taken)
    cloudformation.get_waiter("stack_import_complete").wait(StackName="tasks", WaiterConfig=patience)
    again = updated(api, "rest", GatewayLogsRole="false", AlarmTopicArn="", Dashboard="false")
    assert again("GET", "/health").status == 200
    outputs = cloudformation.describe_stacks(StackName="tasks")["Stacks"][0]["Outputs"]
    assert api.settings["USER_POOL_ARN"] in {output["OutputValue"] for output in outputs}
