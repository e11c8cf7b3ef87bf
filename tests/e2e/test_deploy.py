"""`make deploy` and `make destroy`, repeated and after failures, with the permissions of docs/deployer-policy.json."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support import deployments
from tests.support.emulator import Checkout, Emulator, run_emulator
from tools.deploy import template

DEPLOY = ROOT / "docs" / "deploy.md"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder = tmp_path_factory.mktemp("deploy")
    with run_emulator(folder) as emulator:
        iam = emulator.client("iam")
        iam.create_user(UserName="deployer")
        policy = json.loads((ROOT / "docs" / "deployer-policy.json").read_text())
        # With the permissions for a domain and a web ACL.
        policy["Statement"] += json.loads((ROOT / "docs" / "deployer-policy-domain.json").read_text())["Statement"]
        for statement in policy["Statement"]:
            # Only the actions: the emulator checks some of them on other resources than AWS.
            statement.pop("Condition", None)
            statement["Resource"] = "*"
        iam.put_user_policy(UserName="deployer", PolicyName="deployer", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName="deployer")["AccessKey"]
        emulator.environment |= {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        yield Checkout(folder, emulator, "dev")


def resources(emulator: Emulator) -> dict[str, Any]:
    """Return the resources in an account that a second deployment could change or duplicate."""
    gateway = emulator.client("apigateway")
    apis = gateway.get_rest_apis()["items"]
    return {
        "stacks": [stack["StackId"] for stack in emulator.client("cloudformation").describe_stacks()["Stacks"]],
        "functions": sorted(function["FunctionArn"] for function in emulator.client("lambda").list_functions()["Functions"]),
        "roles": sorted(role["Arn"] for role in emulator.client("iam").list_roles()["Roles"]),
        "tables": emulator.client("dynamodb").list_tables()["TableNames"],
        "pools": [pool["Id"] for pool in emulator.client("cognito-idp").list_user_pools(MaxResults=9)["UserPools"]],
        "apis": [api["id"] for api in apis],
        "stages": [gateway.get_stages(restApiId=api["id"])["item"][0]["methodSettings"] for api in apis],
    }


def test_deploy_without_a_region_fails(checkout: Checkout) -> None:
    region = checkout.emulator.environment.pop("AWS_DEFAULT_REGION")
    done = checkout.tools("deploy", check=False)
    checkout.emulator.environment["AWS_DEFAULT_REGION"] = region
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No AWS region is set.")
    assert resources(checkout.emulator)["stacks"] == []


def test_deploy_with_an_unknown_profile_fails_with_one_line(checkout: Checkout) -> None:
    checkout.emulator.environment["AWS_PROFILE"] = "nosuch"
    done = checkout.tools("deploy", check=False)
    del checkout.emulator.environment["AWS_PROFILE"]
    expected = (
        "The config profile (nosuch) could not be found. Set AWS_PROFILE to an existing profile, or run: unset AWS_PROFILE\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


@pytest.fixture(params=["no stack", "a stack that was imported"])
def before(request: pytest.FixtureRequest, checkout: Checkout) -> Iterator[list[str]]:
    """Return the stacks of an account without deployment, or with a stack that has no log groups yet."""
    cloudformation, stack = checkout.emulator.client("cloudformation"), {"StackName": "task-api-dev"}
    if request.param != "no stack":
        cloudformation.create_stack(**stack, TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}')
        checkout.emulator.wait("stack_create_complete", **stack)
    yield resources(checkout.emulator)["stacks"]
    cloudformation.delete_stack(**stack)
    checkout.emulator.wait("stack_delete_complete", **stack)


@pytest.mark.parametrize(
    "existing", ["/aws/lambda/task-api-dev", "/aws/lambda/task-api-dev-user_authorizer", "/aws/apigateway/task-api-dev"]
)
def test_deploy_rejects_an_existing_log_group_and_prints_how_to_continue(
    checkout: Checkout, before: list[str], existing: str
) -> None:
    logs = checkout.emulator.client("logs")
    for group in (existing, f"{existing}-of-another-owner"):
        logs.create_log_group(logGroupName=group)
    done = checkout.tools("deploy", check=False)
    for group in (existing, f"{existing}-of-another-owner"):
        logs.delete_log_group(logGroupName=group)
    assert done.returncode == 1
    assert done.stderr.count(" already exists") == 1
    assert f"The log group {existing} already exists" in done.stderr
    assert f"aws logs delete-log-group --log-group-name {existing}\n" in done.stderr
    assert resources(checkout.emulator)["stacks"] == before


def test_deploy_prints_the_failed_step_and_how_to_continue(checkout: Checkout) -> None:
    policy = checkout.folder / ".chalice" / "policy-dev.json"
    policy.rename(policy.with_suffix(".away"))
    done = checkout.tools("deploy", check=False)
    assert done.returncode == 1
    assert "This step failed: Functions and API, and what Chalice cannot set on it (chalice deploy)." in done.stderr
    assert "make deploy STAGE=dev" in done.stderr
    assert "Traceback" not in done.stderr.partition("This step failed")[2]
    policy.with_suffix(".away").rename(policy)


def test_deploy_after_a_failed_step_completes_and_a_second_deploy_changes_nothing(checkout: Checkout) -> None:
    checkout.tools("deploy")
    before = resources(checkout.emulator)
    assert (len(before["stacks"]), len(before["functions"]), len(before["apis"])) == (1, 2, 1)
    second = checkout.tools("deploy")
    assert resources(checkout.emulator) == before
    api = deployments.deployed(checkout)
    assert api("GET", "/nowhere").json["type"] == "urn:problem:not-found"
    url = rf"https://{api.api_id}\.execute-api\.us-east-1\.amazonaws\.com/dev"
    assert re.search(rf"^Stage dev is deployed at {url}\. Try: curl {url}/health$", second.stdout, re.MULTILINE)


def test_deploy_sets_the_tags_and_the_format_of_the_access_log(checkout: Checkout) -> None:
    shared, own, line = {"team": "tasks", "cost-centre": "1"}, {"cost-centre": "2"}, "$context.requestId $context.status"

    def change(config: Any) -> Any:
        config["tags"], config["stages"]["dev"]["tags"] = shared, own
        config["stages"]["dev"]["parameters"]["AccessLogFormat"] = line
        return config

    checkout.change_config(change)
    checkout.tools("deploy")
    wanted = {"team": "tasks", "cost-centre": "2"}.items()
    emulator = checkout.emulator
    (stack,) = emulator.client("cloudformation").describe_stacks(StackName="task-api-dev")["Stacks"]
    assert {tag["Key"]: tag["Value"] for tag in stack["Tags"]}.items() == wanted
    functions = emulator.client("lambda").list_functions()["Functions"]
    for function in functions:
        assert emulator.client("lambda").list_tags(Resource=function["FunctionArn"])["Tags"].items() >= wanted
        role = emulator.client("iam").list_role_tags(RoleName=function["Role"].rpartition("/")[2])["Tags"]
        assert {tag["Key"]: tag["Value"] for tag in role}.items() >= wanted
    api = f"arn:aws:apigateway:us-east-1::/restapis/{deployments.deployed(checkout).api_id}"
    for arn in (api, f"{api}/stages/dev"):
        assert emulator.client("apigateway").get_tags(resourceArn=arn)["tags"].items() >= wanted
    stage = emulator.client("apigateway").get_stage(restApiId=deployments.deployed(checkout).api_id, stageName="dev")
    assert stage["accessLogSettings"]["format"] == line


@pytest.mark.parametrize("stale", [False, True])
def test_deploy_takes_over_an_api_that_the_state_of_chalice_does_not_name(checkout: Checkout, *, stale: bool) -> None:
    before, state = resources(checkout.emulator), checkout.folder / ".chalice" / "deployed" / "dev.json"
    written = state.read_text()
    if stale:
        state.write_text(written.replace(before["apis"][0], "deleted123"))
    else:
        state.unlink()
        done = checkout.tools("destroy", typed="dev\n", check=False)
        assert (done.returncode, resources(checkout.emulator)) == (1, before)
        assert "There is no .chalice/deployed/dev.json, which names what to delete." in done.stderr
    assert f"Writing the API {before['apis'][0]} to .chalice/deployed/dev.json" in checkout.tools("deploy").stdout
    assert (resources(checkout.emulator), state.read_text()) == (before, written)


def test_deploy_with_several_apis_of_the_stage_names_them(checkout: Checkout) -> None:
    gateway, state = checkout.emulator.client("apigateway"), checkout.folder / ".chalice" / "deployed" / "dev.json"
    written = state.read_text()
    second = gateway.create_rest_api(name="task-api")["id"]
    deployment = gateway.create_deployment(restApiId=second)["id"]
    gateway.create_stage(restApiId=second, stageName="dev", deploymentId=deployment)
    state.unlink()
    done = checkout.tools("deploy", check=False)
    assert done.returncode == 1
    assert re.search(f"There are several APIs task-api with a stage dev: .*{second}", done.stderr)
    gateway.delete_rest_api(restApiId=second)
    state.write_text(written)


def test_deploy_uploads_the_zip_of_make_package_with_any_umask(checkout: Checkout) -> None:
    checkout.tools("package")
    zipped = (checkout.folder / "dist" / "dev" / "deployment.zip").read_bytes()
    for path in (checkout.folder / "chalicelib").glob("*.py"):
        path.chmod(0o600)
    umask = os.umask(0o077)
    try:
        checkout.tools("deploy")
    finally:
        os.umask(umask)
    functions = checkout.emulator.client("lambda").list_functions()["Functions"]
    expected = base64.b64encode(hashlib.sha256(zipped).digest()).decode()
    assert [function["CodeSha256"] for function in functions] == [expected, expected]


@pytest.mark.parametrize("typed", ["", "prod\n", "yes\n"])
def test_destroy_without_the_name_of_the_stage_deletes_nothing(checkout: Checkout, typed: str) -> None:
    before = resources(checkout.emulator)
    done = checkout.tools("destroy", typed=typed, check=False)
    assert (done.returncode, resources(checkout.emulator)) == (1, before)
    assert "Nothing was deleted" in done.stderr


def test_destroy_keeps_a_protected_table_and_deletes_everything_else(checkout: Checkout) -> None:
    checkout.change_config(lambda config: with_deletion_protection(config, "true"))
    checkout.tools("deploy")
    before = resources(checkout.emulator)
    done = checkout.tools("destroy", typed="dev\n")
    assert "Kept, because deletion protection is on: table task-api-dev" in done.stdout
    after = resources(checkout.emulator)
    assert (after["stacks"], after["functions"], after["apis"]) == ([], [], [])
    assert after["tables"] == before["tables"] == ["task-api-dev"]


def test_deploy_fails_if_the_table_exists(checkout: Checkout) -> None:
    done = checkout.tools("deploy", check=False)
    assert done.returncode == 1
    assert "The table task-api-dev already exists" in done.stderr
    assert resources(checkout.emulator)["stacks"] == []


def test_destroy_of_a_deleted_stage_succeeds(checkout: Checkout) -> None:
    dynamodb = checkout.emulator.client("dynamodb")
    dynamodb.update_table(TableName="task-api-dev", DeletionProtectionEnabled=False)
    assert "Stage dev is deleted.\n" in checkout.tools("destroy", typed="dev\n").stdout
    assert "Stage dev is deleted.\n" in checkout.tools("destroy", typed="dev\n").stdout
    assert resources(checkout.emulator)["tables"] == []


def test_deploy_creates_a_domain_and_associates_a_web_acl_and_destroy_deletes_the_domain(checkout: Checkout) -> None:
    visibility = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "web"}
    waf, gateway = checkout.emulator.client("wafv2"), checkout.emulator.client("apigateway")
    created = waf.create_web_acl(Name="web", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility)
    acl = created["Summary"]["ARN"]

    def change(config: Any) -> Any:
        config["stages"]["dev"]["api_gateway_custom_domain"] = documented_domain()
        config["stages"]["dev"]["parameters"]["WebAclArn"] = acl
        return with_deletion_protection(config, "false")

    checkout.change_config(change)
    checkout.tools("deploy")
    api = deployments.deployed(checkout)
    assert api.behind("api.example.com", "v1")("GET", "/health").status == 200
    (domain,) = gateway.get_domain_names()["items"]
    assert (
        domain["securityPolicy"] == template.merge()["Resources"]["ApiGatewayCustomDomain"]["Properties"]["SecurityPolicy"]
    )
    stage = f"arn:aws:apigateway:us-east-1::/restapis/{api.api_id}/stages/dev"
    assert waf.get_web_acl_for_resource(ResourceArn=stage)["WebACL"]["ARN"] == acl
    checkout.tools("destroy", typed="dev\n")
    assert gateway.get_domain_names()["items"] == []


def test_deploy_rejects_a_domain_among_the_parameters(checkout: Checkout) -> None:
    def change(config: Any) -> Any:
        del config["stages"]["dev"]["api_gateway_custom_domain"]
        config["stages"]["dev"]["parameters"]["ApiDomain"] = "api.example.com"
        return config

    checkout.change_config(change)
    done = checkout.tools("deploy", check=False)
    assert done.returncode == 1
    assert "ApiDomain under parameters of stage dev has no effect here. Set api_gateway_custom_domain" in done.stderr


def documented_domain() -> Any:
    """Return the domain of the example in docs/deploy.md."""
    (example,) = re.findall(r"```json\n +(\"api_gateway_custom_domain.*?)```", DEPLOY.read_text(), re.DOTALL)
    return json.loads("{" + example + "}")["api_gateway_custom_domain"]


def with_deletion_protection(config: Any, value: str) -> Any:
    config["stages"]["dev"]["parameters"]["DeletionProtection"] = value
    return config
