"""`make package-terraform`: Terraform applies the module, and its resources equal those of the CloudFormation template."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.compare import PARAMETERS, TYPES, differences, resolve, to_terraform
from tests.support.emulator import Checkout, run_emulator
from tests.support.local_server import clean_environment
from tests.support.terraform import Module, plugin_folder
from tools.deploy import gateway_responses, stack, template
from tools.deploy.terraform import snake
from tools.functions import declarations


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    plugin_folder()  # skips the test early without Terraform
    folder = tmp_path_factory.mktemp("terraform")
    with run_emulator(folder) as emulator:
        checkout = Checkout(folder, emulator, "prod")
        checkout.tools("package-terraform")
        yield checkout


@pytest.fixture(scope="module")
def module(checkout: Checkout) -> Module:
    """Return the applied module of a stage with all optional features."""
    allow_all = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    checkout.emulator.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(allow_all))
    module = Module(checkout.folder / "dist" / "prod-terraform", checkout.emulator)
    rules = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "web"}
    acl = checkout.emulator.client("wafv2").create_web_acl(
        Name="web", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=rules
    )["Summary"]["ARN"]
    module.set_variables(**{snake(name): {"true": True}.get(value, value) for name, value in PARAMETERS.items()})
    module.set_variables(web_acl_arn=acl)
    checkout.emulator.client("apigateway").create_domain_name(
        domainName=PARAMETERS["ApiDomain"], endpointConfiguration={"types": ["REGIONAL"]}
    )
    module.apply()
    return module


@pytest.fixture(scope="module")
def resources(module: Module) -> list[dict[str, Any]]:
    return module.resources()


def test_the_module_is_formatted_and_valid(module: Module) -> None:
    module("fmt", "-check", "-diff", str(ROOT / ".chalice" / "terraform"))
    report = json.loads(module("validate", "-json"))
    assert (report["valid"], report["warning_count"], report["diagnostics"]) == (True, 0, [])


def test_the_configuration_in_the_readme_of_the_module_is_valid(checkout: Checkout, module: Module) -> None:
    (example,) = re.findall("```hcl\n(.*?)```", (module.folder / "README.md").read_text(), re.DOTALL)
    (checkout.folder / "dist" / "main.tf").write_text(example)
    assert "Success!" in Module(checkout.folder / "dist")("validate")


def test_checkov_finds_nothing_in_the_module() -> None:
    linters = ROOT / ".venv" / "lint" / "bin"
    if not (linters / "checkov").exists():
        pytest.skip("checkov is missing; `make check` installs it")
    command = [
        str(linters / "python"),
        str(linters / "checkov"),
        "--skip-download",
        "--quiet",
        "--compact",
        "-d",
        str(ROOT / ".chalice" / "terraform"),
    ]
    done = subprocess.run(command, capture_output=True, check=False, env=clean_environment(), text=True, timeout=1200)
    assert done.returncode == 0, done.stdout
    assert "Failed checks: 0" in done.stdout


def test_a_plan_after_an_apply_is_empty(module: Module) -> None:
    assert module.is_unchanged()


def test_packaging_the_module_again_changes_nothing(checkout: Checkout, module: Module) -> None:
    assert checkout.tools("package-terraform").stderr == ""
    assert module.is_unchanged()


def test_the_module_has_every_output_of_the_template_and_hides_the_secret(module: Module) -> None:
    outputs = module.outputs()
    written = (module.folder / "outputs.tf").read_text()
    ours = stack.read_template()["Outputs"] | json.loads(template.PACKAGE_TEMPLATE.read_text())["Outputs"]
    for name, output in ours.items():
        assert f'output "{snake(name)}"' in written
        assert re.sub("ApiDomain[A-Za-z]*", lambda name: snake(name[0]), output["Description"]) in written
    assert [name for name, output in outputs.items() if output["sensitive"]] == ["machine_client_secret"]
    assert outputs["token_url"]["value"] == "https://task-api-prod.auth.us-east-1.amazoncognito.com/oauth2/token"
    unset = {"api_domain_target", "api_domain_zone_id"}  # the module of this test maps a domain that exists
    assert written.count("output ") == written.count("description ") == len(outputs.keys() | unset)


def test_invalid_variables_are_rejected_by_the_plan(module: Module) -> None:
    wrong = {
        "domain_prefix": "-tasks",
        "log_retention_in_days": 8,
        "requests_per_second": 0,
        "reserved_concurrency": "many",
        "web_origin": "*",
    }
    output = module("plan", "-input=false", *(f"-var={name}={value}" for name, value in wrong.items()), status=1)
    assert output.count("It must be") == len(wrong)
    output = module("plan", "-input=false", "-var=domain_prefix=my-cognito", status=1)
    assert "It must be without aws, amazon, cognito." in output


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("api_domain", "api_certificate_arn and api_base_path need api_domain."),
        ("email_identity_arn", "email_identity_arn and email_from need each other."),
    ],
)
def test_a_variable_without_the_one_that_it_needs_is_rejected_by_the_plan(
    module: Module, missing: str, message: str
) -> None:
    assert message in module("plan", "-input=false", f"-var={missing}=", status=1)


class TestTheApi:
    def test_the_functions_have_the_settings_of_the_template(self, resources: list[dict[str, Any]]) -> None:
        functions = of_type(resources, "aws_lambda_function")
        assert {function["function_name"] for function in functions} == {
            "task-api-prod",
            *(f"task-api-prod-{name}" for name in declarations()),
        }
        for function in functions:
            assert function["kms_key_arn"] == PARAMETERS["KmsKeyArn"]
            assert function["reserved_concurrent_executions"] == int(PARAMETERS["ReservedConcurrency"])
            variables = function["environment"][0]["variables"]
            assert variables["TABLE_NAME"] == "task-api-prod"
            assert [variables["MACHINE_CLIENT_IDS"], variables["WEB_CLIENT_ID"]] == sorted_ids(resources)
        assert {role["permissions_boundary"] for role in of_type(resources, "aws_iam_role")} == {
            PARAMETERS["PermissionsBoundaryArn"]
        }

    def test_the_definition_of_the_api_has_the_pool_the_client_and_every_gateway_response(
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
            response = path["options"]["x-amazon-apigateway-integration"]["responses"]["default"]
            parameters = response["responseParameters"]
            assert parameters["method.response.header.Access-Control-Allow-Origin"] == f"'{origin}'"
            assert response["responseTemplates"] == gateway_responses.preflight(origin)

    def test_one_apply_deploys_another_origin(self, module: Module) -> None:
        module.set_variables(web_origin="https://other.example.com,capacitor://localhost")
        module.apply()
        api = module.deployed()
        for method, path in (("GET", "/health"), ("OPTIONS", "/tasks"), ("GET", "/nowhere")):
            assert api(method, path).headers["Access-Control-Allow-Origin"] == "https://other.example.com"
        assert module.is_unchanged()

    def test_a_base_path_of_a_domain_that_exists_is_mapped_to_the_stage(
        self, module: Module, resources: list[dict[str, Any]]
    ) -> None:
        (mapping,) = of_type(resources, "aws_api_gateway_base_path_mapping")
        assert (mapping["base_path"], mapping["stage_name"]) == ("v1", "prod")
        assert module.deployed().behind("api.example.com", "v1")("GET", "/health").status == 200
        assert of_type(resources, "aws_api_gateway_domain_name") == []

    def test_the_web_acl_is_associated_with_the_stage(self, module: Module, resources: list[dict[str, Any]]) -> None:
        (association,) = of_type(resources, "aws_wafv2_web_acl_association")
        api = f"arn:aws:apigateway:us-east-1::/restapis/{module.deployed().api_id}"
        assert association["resource_arn"] == f"{api}/stages/prod"


RESOURCES = stack.read_template()["Resources"]


class TestResources:
    @pytest.mark.parametrize("name", RESOURCES)
    def test_a_resource_has_the_properties_that_the_template_gives_it(
        self, resources: list[dict[str, Any]], name: str
    ) -> None:
        wanted = to_terraform(RESOURCES[name]["Type"], resolve(RESOURCES[name]["Properties"]))
        found = [differences(wanted, resource) for resource in of_type(resources, TYPES[RESOURCES[name]["Type"]])]
        assert min(found, key=len) == []

    def test_the_module_has_no_resource_that_the_template_lacks(self, resources: list[dict[str, Any]]) -> None:
        for kind, ours in TYPES.items():
            wanted = [resource for resource in RESOURCES.values() if resource["Type"] == kind]
            assert len(of_type(resources, ours)) == len(wanted), kind

    def test_a_stage_without_options_has_no_resource_that_costs_money_at_rest(self, module: Module) -> None:
        off = (
            "alarm_topic_arn=",
            "dashboard=false",
            "gateway_logs_role=false",
            "kms_key_arn=",
            "metrics=false",
            "reserved_concurrency=",
            "web_app_api=",
        )
        plan = module("plan", "-input=false", "-refresh=false", "-out=plan", *(f"-var={choice}" for choice in off))
        optional = [resource for resource in RESOURCES.values() if "Condition" in resource]
        # In Terraform, so are the role for logs with its policy and setting, and the public access of a bucket is a resource.
        assert plan.count("will be destroyed") == len(optional) + 3 + 1
        planned = json.loads(module("show", "-json", "plan"))["planned_values"]["root_module"]["resources"]
        assert {function["reserved_concurrent_executions"] for function in of_type(planned, "aws_lambda_function")} == {-1}
        (table,) = of_type(planned, "aws_dynamodb_table")
        assert table["server_side_encryption"][0]["enabled"] is False


def test_the_module_creates_a_domain_for_a_certificate(module: Module) -> None:
    certificate = "arn:aws:acm:us-east-1:000000000000:certificate/0a1b2c3d-0000-4000-8000-000000000000"
    module.set_variables(api_domain="tasks.example.com", api_certificate_arn=certificate)
    module.apply()
    (domain,) = of_type(module.resources(), "aws_api_gateway_domain_name")
    properties = template.merge()["Resources"]["ApiGatewayCustomDomain"]["Properties"]
    assert (domain["domain_name"], domain["regional_certificate_arn"]) == ("tasks.example.com", certificate)
    assert domain["security_policy"] == properties["SecurityPolicy"]
    assert domain["endpoint_configuration"][0]["types"] == properties["EndpointConfiguration"]["Types"]
    outputs = module.outputs()
    assert outputs["api_domain_target"]["value"] == domain["regional_domain_name"]
    assert outputs["api_domain_zone_id"]["value"] == domain["regional_zone_id"]
    assert module.deployed().behind("tasks.example.com", "v1")("GET", "/health").status == 200


def test_destroy_fails_until_deletion_protection_is_off(checkout: Checkout, module: Module) -> None:
    pool, api = module.deployed().pool, module.deployed().api_id
    assert "deletion protection" in module("destroy", "-auto-approve", status=1).lower()
    assert checkout.emulator.client("dynamodb").list_tables()["TableNames"] == ["task-api-prod"]
    module.set_variables(deletion_protection=False)
    module.apply("-target=aws_dynamodb_table.tasks", "-target=aws_cognito_user_pool.users")
    module("destroy", "-auto-approve")
    # The provider may repeat a request (rehearse_aws.TERRAFORM), which creates a second pool or API: look for ours by id.
    assert checkout.emulator.client("dynamodb").list_tables()["TableNames"] == []
    pools = checkout.emulator.client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]
    assert pool not in [found["Id"] for found in pools]
    assert api not in [found["id"] for found in checkout.emulator.client("apigateway").get_rest_apis()["items"]]
    assert checkout.emulator.client("lambda").list_functions()["Functions"] == []
    assert checkout.emulator.client("logs").describe_log_groups()["logGroups"] == []


def of_type(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [resource["values"] for resource in resources if resource["type"] == kind]


def sorted_ids(resources: list[dict[str, Any]]) -> list[str]:
    """Return the ids of the clients, machine first."""
    clients = sorted(of_type(resources, "aws_cognito_user_pool_client"), key=lambda client: str(client["name"]))
    return [client["id"] for client in clients]
