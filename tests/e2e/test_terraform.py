"""`make package-terraform`: what Terraform makes of it, and that it is what CloudFormation makes of the template."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support import aws as e2e
from tests.support.aws import Checkout
from tests.support.compare import ALL, TYPES, differing, in_terraform, resolved
from tests.support.local_server import clean_environment
from tests.support.terraform import Module, plugins
from tools.deploy import gateway_responses, stack, template
from tools.deploy.terraform import snake


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    plugins()  # without which nothing needs to be packaged
    folder = tmp_path_factory.mktemp("terraform")
    with e2e.running(folder) as aws:
        checkout = Checkout(folder, aws, "prod")
        checkout.local("package-terraform")
        yield checkout


@pytest.fixture(scope="module")
def module(checkout: Checkout) -> Module:
    """Return a stage with all that may be chosen."""
    anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    checkout.aws.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(anything))
    module = Module(checkout.folder / "dist" / "prod-terraform", checkout.aws)
    module.choose(**{snake(name): {"true": True}.get(value, value) for name, value in ALL.items()})
    module.apply()
    return module


@pytest.fixture(scope="module")
def resources(module: Module) -> list[dict[str, Any]]:
    return module.shown()


def test_the_module_is_formatted_and_valid(module: Module) -> None:
    module("fmt", "-check", "-diff", str(ROOT / ".chalice" / "terraform"))
    told = json.loads(module("validate", "-json"))
    assert (told["valid"], told["warning_count"], told["diagnostics"]) == (True, 0, [])


def test_the_module_fits_into_the_configuration_that_its_readme_shows(checkout: Checkout, module: Module) -> None:
    (example,) = re.findall("```hcl\n(.*?)```", (module.folder / "README.md").read_text(), re.DOTALL)
    (checkout.folder / "dist" / "main.tf").write_text(example)
    assert "Success!" in Module(checkout.folder / "dist")("validate")


def test_checkov_finds_nothing_in_the_module() -> None:
    linters = ROOT / ".venv" / "lint" / "bin"
    if not (linters / "checkov").exists():
        pytest.skip("checkov is not there; `make check` installs it")
    options = ["--skip-download", "--quiet", "--compact", "-d", str(ROOT / ".chalice" / "terraform")]
    command = [str(linters / "python"), str(linters / "checkov"), *options]
    done = subprocess.run(command, capture_output=True, check=False, env=clean_environment(), text=True, timeout=1200)
    assert done.returncode == 0, done.stdout
    assert "Failed checks: 0" in done.stdout


def test_a_plan_after_an_apply_is_empty(checkout: Checkout, module: Module) -> None:
    assert [api["id"] for api in checkout.aws.client("apigateway").get_rest_apis()["items"]] == [module.deployed().api_id]
    assert module.is_clean()


def test_a_module_written_again_from_the_same_commit_changes_nothing(checkout: Checkout, module: Module) -> None:
    checkout.local("package-terraform")
    assert module.is_clean()


def test_every_output_of_the_template_is_one_and_the_secret_is_not_shown(module: Module) -> None:
    outputs = module.outputs()
    written = (module.folder / "outputs.tf").read_text()
    for name, output in template.merge()["Outputs"].items():
        assert snake(name) in outputs
        assert output["Description"] in written
    assert [name for name, output in outputs.items() if output["sensitive"]] == ["machine_client_secret"]
    assert outputs["token_url"]["value"] == "https://task-api-prod.auth.us-east-1.amazoncognito.com/oauth2/token"
    assert written.count("output ") == written.count("description ") == len(outputs)


def test_wrong_variables_are_refused_before_anything_is_done(module: Module) -> None:
    wrong = {
        "domain_prefix": "-tasks",
        "log_retention_in_days": 8,
        "requests_per_second": 0,
        "reserved_concurrency": "many",
        "web_origin": "*",
    }
    told = module("plan", "-input=false", *(f"-var={name}={value}" for name, value in wrong.items()), status=1)
    assert told.count("It has to be") == len(wrong)


class TestTheApi:
    def test_the_functions_have_the_settings_of_the_template(self, resources: list[dict[str, Any]]) -> None:
        functions = of_type(resources, "aws_lambda_function")
        assert {function["function_name"] for function in functions} == {"task-api-prod", "task-api-prod-user_authorizer"}
        for function in functions:
            assert function["kms_key_arn"] == ALL["KmsKeyArn"]
            assert function["reserved_concurrent_executions"] == int(ALL["ReservedConcurrency"])
            variables = function["environment"][0]["variables"]
            assert variables["TABLE_NAME"] == "task-api-prod"
            assert [variables["MACHINE_CLIENT_IDS"], variables["WEB_CLIENT_ID"]] == sorted_ids(resources)
        assert {role["permissions_boundary"] for role in of_type(resources, "aws_iam_role")} == {
            ALL["PermissionsBoundaryArn"]
        }

    def test_the_definition_of_the_api_names_this_pool_this_client_and_every_refusal(
        self, resources: list[dict[str, Any]]
    ) -> None:
        (api,) = of_type(resources, "aws_api_gateway_rest_api")
        (pool,) = of_type(resources, "aws_cognito_user_pool")
        definition = json.loads(api["body"])
        schemes = {
            name: scheme["x-amazon-apigateway-authorizer"] for name, scheme in definition["securityDefinitions"].items()
        }
        for name in ("users", "machines"):
            assert schemes[name]["providerARNs"] == [pool["arn"]]
        assert schemes["users"]["identityValidationExpression"] == f"^{sorted_ids(resources)[1]}$"
        assert "identityValidationExpression" not in schemes["machines"]
        origin = "https://app.example.com"
        assert definition["x-amazon-apigateway-gateway-responses"] == gateway_responses.responses(origin)
        assert definition["x-amazon-apigateway-security-policy"] == template.TLS
        for path in definition["paths"].values():
            answer = path["options"]["x-amazon-apigateway-integration"]["responses"]["default"]["responseParameters"]
            assert answer["method.response.header.Access-Control-Allow-Origin"] == f"'{origin}'"

    def test_another_origin_is_deployed_with_one_apply(self, module: Module) -> None:
        module.choose(web_origin="https://other.example.com")
        module.apply()
        api = module.deployed()
        for method, path in (("GET", "/health"), ("OPTIONS", "/tasks"), ("GET", "/nowhere")):
            assert api(method, path).headers["Access-Control-Allow-Origin"] == "https://other.example.com"
        assert module.is_clean()


KEPT = stack.read_template()["Resources"]


class TestWhatIsKept:
    @pytest.mark.parametrize("name", KEPT)
    def test_a_resource_has_the_properties_that_the_template_gives_it(
        self, resources: list[dict[str, Any]], name: str
    ) -> None:
        wanted = in_terraform(KEPT[name]["Type"], resolved(KEPT[name]["Properties"]))
        differences = [differing(wanted, there) for there in of_type(resources, TYPES[KEPT[name]["Type"]])]
        assert min(differences, key=len) == []

    def test_no_resource_is_there_that_the_template_does_not_have(self, resources: list[dict[str, Any]]) -> None:
        for kind, ours in TYPES.items():
            wanted = [resource for resource in KEPT.values() if resource["Type"] == kind]
            assert len(of_type(resources, ours)) == len(wanted), kind

    def test_a_stage_that_chooses_nothing_pays_for_nothing(self, module: Module) -> None:
        nothing = ("alarm_topic_arn=", "dashboard=false", "gateway_logs_role=false", "kms_key_arn=", "reserved_concurrency=")
        plan = module("plan", "-input=false", "-refresh=false", "-out=plan", *(f"-var={choice}" for choice in nothing))
        assert plan.count("will be destroyed") == 7 + 1 + 3  # alarms, dashboard, role
        planned = json.loads(module("show", "-json", "plan"))["planned_values"]["root_module"]["resources"]
        assert {function["reserved_concurrent_executions"] for function in of_type(planned, "aws_lambda_function")} == {-1}
        (table,) = of_type(planned, "aws_dynamodb_table")
        assert table["server_side_encryption"][0]["enabled"] is False


def test_a_protected_table_stays_until_its_protection_is_off(checkout: Checkout, module: Module) -> None:
    assert "deletion protection" in module("destroy", "-auto-approve", status=1).lower()
    assert checkout.aws.client("dynamodb").list_tables()["TableNames"] == ["task-api-prod"]
    module.choose(deletion_protection=False)
    module.apply("-target=aws_dynamodb_table.tasks", "-target=aws_cognito_user_pool.users")
    module("destroy", "-auto-approve")
    assert checkout.aws.client("dynamodb").list_tables()["TableNames"] == []
    assert checkout.aws.client("cognito-idp").list_user_pools(MaxResults=9)["UserPools"] == []
    assert checkout.aws.client("apigateway").get_rest_apis()["items"] == []
    assert checkout.aws.client("lambda").list_functions()["Functions"] == []
    assert checkout.aws.client("logs").describe_log_groups()["logGroups"] == []


def of_type(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [resource["values"] for resource in resources if resource["type"] == kind]


def sorted_ids(resources: list[dict[str, Any]]) -> list[str]:
    """Return the ids of the clients: the machine, the web."""
    clients = sorted(of_type(resources, "aws_cognito_user_pool_client"), key=lambda client: str(client["name"]))
    return [client["id"] for client in clients]
