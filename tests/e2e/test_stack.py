"""The packaged stack, deployed again and deleted."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.e2e import aws as e2e
from tests.e2e import ways
from tests.e2e.aws import Deployed
from tests.e2e.test_deploy import there


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("stack")
    with e2e.running(folder) as aws:
        yield ways.package(folder, aws)[1]


def test_the_same_template_again_changes_nothing(api: Deployed) -> None:
    before = there(api.aws)
    cloudformation = api.aws.client("cloudformation")
    again = {"StackName": "tasks", "ChangeSetName": "again"}
    cloudformation.create_change_set(
        **again,
        TemplateURL=f"{api.aws.url}/handed-over/template.json",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": name, "UsePreviousValue": True} for name in ("GatewayLogsRole", "AlarmTopicArn", "Dashboard")
        ],
    )
    with pytest.raises(WaiterError, match="FAILED"):
        cloudformation.get_waiter("change_set_create_complete").wait(**again, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    assert "didn't contain changes" in cloudformation.describe_change_set(**again)["StatusReason"]
    assert there(api.aws) == before


def test_its_alarms_reach_the_topic_and_watch_this_stage(api: Deployed) -> None:
    alarms = api.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(alarms) == 6
    for alarm in alarms:
        assert alarm["AlarmActions"] == [topic["TopicArn"] for topic in api.aws.client("sns").list_topics()["Topics"]]
        assert {"task-api-prod", "prod"} & {dimension["Value"] for dimension in alarm["Dimensions"]}
    assert api.aws.client("cloudwatch").list_dashboards()["DashboardEntries"][0]["DashboardName"] == "task-api-prod"


def test_a_stack_that_is_deleted_leaves_the_data(api: Deployed) -> None:
    cloudformation = api.aws.client("cloudformation")
    cloudformation.delete_stack(StackName="tasks")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="tasks", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    left = api.aws.client("dynamodb").describe_table(TableName="task-api-prod")["Table"]
    assert left["DeletionProtectionEnabled"] is True
    assert (
        api.aws.client("cognito-idp").describe_user_pool(UserPoolId=api.pool)["UserPool"]["DeletionProtection"] == "ACTIVE"
    )
    assert api.aws.client("lambda").list_functions()["Functions"] == []
    assert api.aws.client("apigateway").get_rest_apis()["items"] == []
    with pytest.raises(ClientError, match="protect"):
        api.aws.client("dynamodb").delete_table(TableName="task-api-prod")
