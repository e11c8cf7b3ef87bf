"""`make deploy` again, after a fault, and `make destroy`, by somebody who may do that and no more."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support import aws as e2e
from tests.support import deployments
from tests.support.aws import Aws, Checkout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder = tmp_path_factory.mktemp("deploy")
    with e2e.running(folder) as aws:
        iam = aws.client("iam")
        iam.create_user(UserName="deployer")
        policy = json.loads((ROOT / "docs" / "deployer-policy.json").read_text())
        for statement in policy[
            "Statement"
        ]:  # the stand-in shows the actions: it asks some of them of another resource than AWS
            statement.pop("Condition", None)
            statement["Resource"] = "*"
        iam.put_user_policy(UserName="deployer", PolicyName="deployer", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName="deployer")["AccessKey"]
        aws.environment |= {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        yield Checkout(folder, aws, "dev")


def there(aws: Aws) -> dict[str, Any]:
    """Return what an account holds that a second deployment could change or double."""
    gateway = aws.client("apigateway")
    apis = gateway.get_rest_apis()["items"]
    return {
        "stacks": [stack["StackId"] for stack in aws.client("cloudformation").describe_stacks()["Stacks"]],
        "functions": sorted(function["FunctionArn"] for function in aws.client("lambda").list_functions()["Functions"]),
        "roles": sorted(role["Arn"] for role in aws.client("iam").list_roles()["Roles"]),
        "tables": aws.client("dynamodb").list_tables()["TableNames"],
        "pools": [pool["Id"] for pool in aws.client("cognito-idp").list_user_pools(MaxResults=9)["UserPools"]],
        "apis": [api["id"] for api in apis],
        "stages": [gateway.get_stages(restApiId=api["id"])["item"][0]["methodSettings"] for api in apis],
    }


def test_deploy_without_a_region_is_refused(checkout: Checkout) -> None:
    region = checkout.aws.environment.pop("AWS_DEFAULT_REGION")
    done = checkout.local("deploy", check=False)
    checkout.aws.environment["AWS_DEFAULT_REGION"] = region
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No AWS region is set.")
    assert there(checkout.aws)["stacks"] == []


def test_deploy_with_a_profile_that_is_not_there_is_refused_in_one_line(checkout: Checkout) -> None:
    checkout.aws.environment["AWS_PROFILE"] = "nosuch"
    done = checkout.local("deploy", check=False)
    del checkout.aws.environment["AWS_PROFILE"]
    expected = (
        "The config profile (nosuch) could not be found. Set AWS_PROFILE to an existing profile, or run: unset AWS_PROFILE\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


@pytest.fixture(params=["no stack", "a stack that was imported"])
def before(request: pytest.FixtureRequest, checkout: Checkout) -> Iterator[list[str]]:
    """Give an account before its first deployment, or with a stack that has none of the log groups yet."""
    cloudformation, stack = checkout.aws.client("cloudformation"), {"StackName": "task-api-dev"}
    if request.param != "no stack":
        cloudformation.create_stack(**stack, TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}')
        cloudformation.get_waiter("stack_create_complete").wait(**stack, WaiterConfig={"Delay": 1})
    yield there(checkout.aws)["stacks"]
    cloudformation.delete_stack(**stack)
    cloudformation.get_waiter("stack_delete_complete").wait(**stack, WaiterConfig={"Delay": 1})


@pytest.mark.parametrize(
    "left", ["/aws/lambda/task-api-dev", "/aws/lambda/task-api-dev-user_authorizer", "/aws/apigateway/task-api-dev"]
)
def test_deploy_refuses_a_log_group_that_is_there_and_says_how_to_go_on(
    checkout: Checkout, before: list[str], left: str
) -> None:
    logs = checkout.aws.client("logs")
    for group in (left, f"{left}-of-somebody-else"):
        logs.create_log_group(logGroupName=group)
    done = checkout.local("deploy", check=False)
    for group in (left, f"{left}-of-somebody-else"):
        logs.delete_log_group(logGroupName=group)
    assert done.returncode == 1
    assert done.stderr.count(" already exists") == 1
    assert f"The log group {left} already exists" in done.stderr
    assert f"aws logs delete-log-group --log-group-name {left}\n" in done.stderr
    assert there(checkout.aws)["stacks"] == before


def test_deploy_names_the_step_that_failed_and_how_to_go_on(checkout: Checkout) -> None:
    policy = checkout.folder / ".chalice" / "policy-dev.json"
    policy.rename(policy.with_suffix(".away"))
    done = checkout.local("deploy", check=False)
    assert done.returncode == 1
    assert "This step failed: Functions and API, and what Chalice cannot set on it (chalice deploy)." in done.stderr
    assert "make deploy STAGE=dev" in done.stderr
    assert "Traceback" not in done.stderr.partition("This step failed")[2]
    policy.with_suffix(".away").rename(policy)


def test_deploy_after_a_failed_step_completes_and_a_second_deploy_changes_nothing(checkout: Checkout) -> None:
    checkout.local("deploy")
    before = there(checkout.aws)
    assert (len(before["stacks"]), len(before["functions"]), len(before["apis"])) == (1, 2, 1)
    second = checkout.local("deploy")
    assert there(checkout.aws) == before
    api = deployments.found(checkout, checkout.aws)
    assert api("GET", "/nowhere").json["type"] == "urn:problem:not-found"
    assert f"{api.api_id}.execute-api" in second.stdout


def test_deploy_uploads_the_zip_of_make_package_whatever_the_umask_is(checkout: Checkout) -> None:
    checkout.local("package")
    zipped = (checkout.folder / "dist" / "dev" / "deployment.zip").read_bytes()
    for path in (checkout.folder / "chalicelib").glob("*.py"):
        path.chmod(0o600)
    umask = os.umask(0o077)
    try:
        checkout.local("deploy")
    finally:
        os.umask(umask)
    functions = checkout.aws.client("lambda").list_functions()["Functions"]
    expected = base64.b64encode(hashlib.sha256(zipped).digest()).decode()
    assert [function["CodeSha256"] for function in functions] == [expected, expected]


@pytest.mark.parametrize("typed", ["", "prod\n", "yes\n"])
def test_destroy_without_the_name_of_the_stage_deletes_nothing(checkout: Checkout, typed: str) -> None:
    before = there(checkout.aws)
    done = checkout.local("destroy", typed=typed, check=False)
    assert (done.returncode, there(checkout.aws)) == (1, before)
    assert "Nothing was deleted" in done.stderr


def test_destroy_keeps_a_protected_table_and_deletes_all_else(checkout: Checkout) -> None:
    checkout.change(lambda config: protected(config, "true"))
    checkout.local("deploy")
    before = there(checkout.aws)
    done = checkout.local("destroy", typed="dev\n")
    assert "Kept, because deletion protection is on: table task-api-dev" in done.stdout
    after = there(checkout.aws)
    assert (after["stacks"], after["functions"], after["apis"]) == ([], [], [])
    assert after["tables"] == before["tables"] == ["task-api-dev"]


def test_deploy_refuses_to_take_over_a_table_that_was_kept(checkout: Checkout) -> None:
    done = checkout.local("deploy", check=False)
    assert done.returncode == 1
    assert "The table task-api-dev already exists" in done.stderr
    assert there(checkout.aws)["stacks"] == []


def test_destroy_of_a_stage_that_is_gone_succeeds(checkout: Checkout) -> None:
    dynamodb = checkout.aws.client("dynamodb")
    dynamodb.update_table(TableName="task-api-dev", DeletionProtectionEnabled=False)
    assert "Stage dev is deleted.\n" in checkout.local("destroy", typed="dev\n").stdout
    assert "Stage dev is deleted.\n" in checkout.local("destroy", typed="dev\n").stdout
    assert there(checkout.aws)["tables"] == []


def protected(config: Any, value: str) -> Any:
    config["stages"]["dev"]["parameters"]["DeletionProtection"] = value
    return config
