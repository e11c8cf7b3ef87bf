"""What the functions may do: what stands in the files is what the code calls, and what these tests have seen it call."""

import json
import re
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import Any

import pytest

from chalicelib import config
from tests.conftest import ROOT, TABLE
from tests.support import recorder
from tools.deploy import apigateway, template
from tools.generate import policies

STAGES = ("dev", "staging", "prod")
FILES = policies.files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_policy_file_is_stale(path: Any) -> None:
    assert FILES[path] == path.read_text(), "`make generate` writes it anew"


ANNOTATED = """
import boto3
client: object = boto3.client("sns")
later: dict[str, int]

async def also(name: str = "a") -> list[str]:
    return [name]

def send(*numbers: str, **options: dict[str, int]) -> dict[str, str]:
    return client.publish(PhoneNumber=numbers[0])
"""


def test_without_its_annotations_a_module_has_the_same_calls_of_aws() -> None:
    """Before Python 3.14, Chalice's analyzer also reads modules with annotations."""
    plain = policies.without_annotations(ANNOTATED)
    assert "str" not in plain
    assert policies.calls(plain) == {"sns": {"publish"}}
    for path in (ROOT / "chalicelib").rglob("*.py"):
        source = path.read_text()
        if "boto3.client(" in source:
            assert policies.calls(policies.without_annotations(source)) == policies.calls(source)


def test_every_function_of_every_stage_has_its_file() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    assert policies.configure() == config, "run: make generate"
    assert config["autogen_policy"] is False
    named = set()
    for name in STAGES:
        stage = config["stages"][name]
        named |= {stage["iam_policy_file"]}
        named |= {function["iam_policy_file"] for function in stage["lambda_functions"].values()}
    assert named == {path.name for path in FILES} == {path.name for path in (ROOT / ".chalice").glob("policy-*.json")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_wildcard_is_a_table_or_an_action(path: Any) -> None:
    for statement in json.loads(path.read_text())["Statement"]:
        assert not any("*" in action for action in statement["Action"])
        if statement.get("Resource") == "*":  # X-Ray knows no resources (Service Authorization Reference)
            assert all(action.startswith("xray:") for action in statement["Action"])


def allowed(function: str) -> dict[str, set[str]]:
    """Return action: resources, without what Lambda itself does for a function."""
    found: dict[str, set[str]] = defaultdict(set)
    for statement in policies.policy("prod", function)["Statement"]:
        resource = statement.get("Resource") or f"not {statement['NotResource']}"
        for action in statement["Action"]:
            if not action.startswith(("logs:", "xray:")):
                found[action] |= set(resource if isinstance(resource, list) else [resource])
    return found


def used() -> dict[str, set[str]]:
    """Return action: resources, as the app has asked for them while these tests ran, with prod's name for the table."""
    found: dict[str, set[str]] = defaultdict(set)
    for action, resource in recorder.SEEN:
        found[action].add(resource.replace(TABLE, "task-api-prod"))
    return found


@pytest.mark.aggregate
def test_the_policy_allows_exactly_the_calls_of_the_tests() -> None:
    assert used() == allowed("")


@pytest.mark.aggregate
def test_the_authorizer_calls_nothing() -> None:
    assert allowed("user_authorizer") == {}


def test_no_arn_that_is_deployed_names_a_partition() -> None:
    """Those of GovCloud, China and the European Sovereign Cloud refuse a policy that names another one."""
    chalice = ROOT / ".chalice"
    deployed = [*chalice.glob("*.json"), *chalice.glob("terraform/*.tf"), ROOT / "docs" / "deployer-policy.json"]
    assert len(deployed) > 15
    assert {path.name: found for path in deployed if (found := re.findall(r"arn:aws[^\"]*", path.read_text()))} == {}


CREATED_WITH = {
    "AWS::ApiGateway::Account": "apigateway:PATCH iam:PassRole",
    "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms",
    "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard cloudwatch:DeleteDashboards",
    "AWS::Cognito::UserPool": "cognito-idp:CreateUserPool cognito-idp:UpdateUserPool cognito-idp:DeleteUserPool",
    "AWS::Cognito::UserPoolClient": "cognito-idp:CreateUserPoolClient cognito-idp:UpdateUserPoolClient",
    "AWS::Cognito::UserPoolDomain": "cognito-idp:CreateUserPoolDomain cognito-idp:DeleteUserPoolDomain",
    "AWS::Cognito::UserPoolGroup": "cognito-idp:CreateGroup cognito-idp:UpdateGroup cognito-idp:DeleteGroup",
    "AWS::Cognito::UserPoolResourceServer": "cognito-idp:CreateResourceServer cognito-idp:UpdateResourceServer",
    "AWS::DynamoDB::Table": "dynamodb:CreateTable dynamodb:UpdateTable dynamodb:UpdateTimeToLive dynamodb:UpdateContinuousBackups",
    "AWS::IAM::Role": "iam:CreateRole iam:PutRolePolicy iam:AttachRolePolicy iam:DetachRolePolicy iam:DeleteRole iam:TagRole",
    "AWS::Lambda::Permission": "lambda:AddPermission lambda:RemovePermission",
    "AWS::Logs::LogGroup": "logs:CreateLogGroup logs:PutRetentionPolicy logs:DeleteLogGroup",
    "AWS::Logs::MetricFilter": "logs:PutMetricFilter logs:DeleteMetricFilter logs:DescribeMetricFilters",
    "AWS::Serverless::Api": "apigateway:POST apigateway:PUT apigateway:PATCH apigateway:DELETE",
    "AWS::Serverless::Function": "lambda:CreateFunction lambda:UpdateFunctionCode lambda:DeleteFunction lambda:TagResource",
}
"""The main actions that CloudFormation needs for each type; the handlers in its registry list more."""
OTHER_POLICIES = {
    "AWS::ApiGateway::BasePathMapping",
    "AWS::ApiGateway::DomainName",
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::CloudFront::ResponseHeadersPolicy",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::WAFv2::WebACLAssociation",
}
"""Types that need permissions beyond docs/deployer-policy.json, by docs/deploy.md."""


def test_the_deployer_may_create_what_the_template_has() -> None:
    """The emulator does not check the calls that CloudFormation makes for the deployer."""
    statements = json.loads((ROOT / "docs" / "deployer-policy.json").read_text())["Statement"]
    granted = {action for statement in statements for action in make_list(statement["Action"])}
    types = {resource["Type"] for resource in template.merge()["Resources"].values() if "Type" in resource}
    types |= {"AWS::Lambda::Permission", "AWS::Serverless::Api", "AWS::Serverless::Function"}  # Chalice's own
    assert types - OTHER_POLICIES <= CREATED_WITH.keys()
    missing = {kind: needed for kind, actions in CREATED_WITH.items() if (needed := set(actions.split()) - granted)}
    assert missing == {}


def make_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize(("region", "partition"), [
    ("eu-central-1", "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn"), ("eusc-de-east-1", "aws-eusc"),
])  # fmt: skip
def test_every_aws_partition_is_known_to_policies_settings_and_deploy(
    monkeypatch: pytest.MonkeyPatch, region: str, partition: str
) -> None:
    table = f"arn:{partition}:dynamodb:{region}:123456789012:table/task-api-prod"
    assert any(fnmatchcase(table, named) for named in allowed("")["dynamodb:GetItem"])
    assert not fnmatchcase(f"{table}-2", policies.policy("prod", "")["Statement"][0]["Resource"])
    monkeypatch.setenv("USER_POOL_ARN", f"arn:{partition}:cognito-idp:{region}:123456789012:userpool/{region}_AbCdEfGhI")
    assert config.read().region == region
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    assert apigateway.partition() == partition


@pytest.mark.parametrize("partition", ["", "aws-", "aws-iso-x", "aws\n", "AWS", "*"])
def test_an_unknown_aws_partition_is_an_invalid_setting(monkeypatch: pytest.MonkeyPatch, partition: str) -> None:
    monkeypatch.setenv("USER_POOL_ARN", f"arn:{partition}:cognito-idp:us-east-1:123456789012:userpool/us-east-1_AbCdEfGhI")
    with pytest.raises(RuntimeError, match="USER_POOL_ARN"):
        config.read()
