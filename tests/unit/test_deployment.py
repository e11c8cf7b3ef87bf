"""What API Gateway and Lambda are given."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import chalice.app
import pytest
from chalice.deploy.swagger import TemplatedSwaggerGenerator

from app import app
from chalicelib import deadline
from chalicelib.config import Settings
from chalicelib.deadline import REQUEST_TIMEOUT  # before a test changes it
from chalicelib.dynamodb import table
from chalicelib.http import api
from chalicelib.sms import service as sms
from tests.conftest import ROOT
from tests.support import pool
from tests.support.events import Context
from tools import stages
from tools.deploy import parameters, stack
from tools.deploy import template as merging
from tools.errors import CommandError

DOMAIN = {"domain_name": "a.example.com", "certificate_arn": "arn:aws:acm:r:a:certificate/c"}
OPEN = {("/", "get"), ("/health", "get"), ("/openapi.json", "get"), ("/docs", "get"), ("/docs/signed-in", "get")}


@pytest.fixture(scope="module")
def swagger() -> Any:
    """Return the API as Chalice describes it to API Gateway."""
    return TemplatedSwaggerGenerator().generate_swagger(app)


def test_every_route_but_the_open_ones_has_the_authorizer(swagger: Any) -> None:
    methods = {(path, method): entry for path, entries in swagger["paths"].items() for method, entry in entries.items()}
    guarded = {
        route: entry.get("security") for route, entry in methods.items() if route[1] != "options" and route not in OPEN
    }
    assert guarded.keys() >= {("/tasks", "get"), ("/tasks", "post"), ("/tasks/{task_id}", "delete")}
    others = {("/sms", "post"): [{"machines": ["task-api/sms"]}], ("/hello", "get"): [{"user_authorizer": []}]}
    assert guarded == {route: [{"users": []}] for route in guarded} | others
    assert all("security" not in methods[route] for route in OPEN)


def test_each_authorizer_admits_whom_it_should(swagger: Any) -> None:
    schemes = {name: scheme["x-amazon-apigateway-authorizer"] for name, scheme in swagger["securityDefinitions"].items()}
    assert schemes.pop("user_authorizer")["authorizerResultTtlInSeconds"] == 0
    pool_alone = {"type": "cognito_user_pools", "providerARNs": [pool.ARN]}
    assert schemes == {
        "users": pool_alone | {"identityValidationExpression": f"^{pool.WEB_CLIENT}$"},
        "machines": pool_alone,  # an access token has no audience, which the expression would demand
    }


def test_every_route_has_the_same_cors() -> None:
    routes = [entry for entries in app.routes.values() for entry in entries.values()]
    assert all(entry.cors == api.CORS for entry in routes)
    assert all(entry.content_types == [] for entry in routes)  # a type is judged by the app


def test_the_deadline_comes_before_the_timeout_of_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "REQUEST_TIMEOUT", REQUEST_TIMEOUT)
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    for stage in config["stages"].values():
        assert stage.get("lambda_timeout", config["lambda_timeout"]) > REQUEST_TIMEOUT + deadline.RESPONSE_MARGIN
    for milliseconds, seconds in ((10_000, 8), (8500, 8), (5000, 4.5), (501, 0.001), (-5, 0.001)):
        assert deadline.seconds_for(Context(milliseconds)) == pytest.approx(seconds)


def test_attempts_and_timeouts_of_aws_calls_are_as_documented() -> None:
    for config, read_timeout, attempts in ((table.CONFIG, 2, 3), (sms.CONFIG, 3, 1)):
        settings: Any = config
        assert (settings.connect_timeout, settings.read_timeout) == (1, read_timeout)
        assert settings.retries == {"mode": "standard", "total_max_attempts": attempts}
    assert sms.CONFIG.connect_timeout + sms.CONFIG.read_timeout == sms._PUBLISH_SECONDS  # type: ignore[attr-defined]
    assert table.ATTEMPT_SECONDS < sms._PUBLISH_SECONDS < REQUEST_TIMEOUT


def test_every_stage_has_every_setting() -> None:
    settings = {name.upper() for name in Settings.__struct_fields__}
    for stage in (stages.LOCAL, *stages.aws_stages()):
        assert {*stages.environment_variables(stage), *stages.placeholder_settings()} == settings, stage


def test_the_merge_template_is_up_to_date() -> None:
    assert merging.MERGE_TEMPLATE.read_text() == merging.render(), "`make generate` writes it anew"


@pytest.mark.parametrize("stage", stages.aws_stages())
def test_the_parameters_of_the_merge_template_default_to_the_values_of_the_stage(stage: str) -> None:
    merge = merging.merge()
    parameters = merging.set_defaults(merge, stage)["Parameters"]
    config = stages.stage_config(stage)
    expected = config["parameters"] | {"Stage": stage, "WebOrigin": config["environment_variables"]["WEB_ORIGIN"]}
    assert {name: str(parameters[name]["Default"]) for name in expected} == expected
    assert all("Default" in parameter for parameter in parameters.values())
    assert parameters["Stage"]["AllowedValues"] == [stage]
    assert merge == merging.merge(), "the argument is changed"


def test_the_settings_of_every_stage_are_valid() -> None:
    for stage in stages.aws_stages():
        parameters.require_valid(stage)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"WebACLArn": "x"}}, "There is no parameter WebACLArn. Did you mean WebAclArn?"),
        ({"parameters": {"Metrics": "yes"}}, "Metrics is 'yes'; it must be one of true, false."),
        ({"parameters": {"RequestsPerSecond": "fast"}}, "RequestsPerSecond is 'fast'; it must be a number."),
        ({"parameters": {"RequestsAtOnce": 0}}, "RequestsAtOnce is '0'; it must be 1 or more."),
        ({"parameters": {"Dashboard": None}}, "Dashboard is None; it must be a string"),
        ({"parameters": {"Stage": "dev"}}, "Stage is no parameter to set here: the name of the stage sets it."),
        ({"api_gateway_custom_domain": DOMAIN | {"url_prefix": None}}, "ApiBasePath is None; it must be a string"),
        ({"parameters": {"ApiDomain": "https://api.example.com"}}, "ApiDomain is 'https://api.example.com'; it must be"),
        ({"parameters": {"WebAclArn": "arn:aws:wafv2:us-east-1:1:global/webacl/w/1"}}, "it must be of the form"),
        ({"api_gateway_custom_domain": {"domain_name": "a.example.com"}}, "has no certificate_arn."),
        ({"api_gateway_custom_domain": DOMAIN | {"url_prefx": "v1"}}, "has url_prefx, which is none of its members."),
        ({"api_gateway_custom_domain": DOMAIN | {"url_prefix": "/v1"}}, "ApiBasePath is '/v1'; it must be of the form"),
        ({"api_gateway_custom_domain": DOMAIN, "parameters": {"ApiDomain": "b.example.com"}}, "ApiDomain is in api_gateway"),
    ],
)
def test_a_setting_that_the_template_lacks_or_rejects_is_an_error(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    config = stages.read_config()
    prod = config["stages"]["prod"]
    prod |= change | {"parameters": prod["parameters"] | change.get("parameters", {})}
    monkeypatch.setattr(stages, "read_config", lambda *_: config)
    with pytest.raises(CommandError, match=re.escape(message)) as raised:
        parameters.require_valid("prod")
    assert len(str(raised.value).splitlines()) == 2, raised.value


def test_values_that_cloudformation_takes_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    config = stages.read_config()
    config["stages"]["prod"]["parameters"] |= {
        "RequestsPerSecond": 500,
        "LogRetentionInDays": 14,
        "Dashboard": True,
        "CallbackUrls": "https://a.example.com/callback,https://b.example.com/callback",
        "AccessLogFormat": "$context.requestId\n",
        "Theirs": "two",
        "Letters": "é",
        "Switch": True,
    }
    config["stages"]["prod"]["api_gateway_custom_domain"] = DOMAIN | {"domain_name": "*.example.com"}
    theirs = {
        "Theirs": {"Type": "CommaDelimitedList", "AllowedValues": ["one", "two"]},
        "Letters": {"Type": "String", "AllowedPattern": r"\p{L}+"},
        "Switch": {"Type": "String", "AllowedValues": [True, False]},
    }
    template = merging.merge()
    monkeypatch.setattr(merging, "merge", lambda: template | {"Parameters": template["Parameters"] | theirs})
    monkeypatch.setattr(stages, "read_config", lambda *_: config)
    parameters.require_valid("prod")
    assert stages.template_parameters("prod")["RequestsPerSecond"] == "500"
    assert stages.template_parameters("prod")["Dashboard"] == "true"


def test_a_merge_template_of_a_user_gets_no_parameter_that_it_does_not_declare() -> None:
    theirs = {"Parameters": {"DomainPrefix": {"Type": "String"}, "Theirs": {"Type": "String"}}, "Resources": {}}
    expected = {"DomainPrefix": {"Type": "String", "Default": "task-api-dev"}, "Theirs": {"Type": "String"}}
    assert merging.set_defaults(theirs, "dev") == theirs | {"Parameters": expected}
    assert merging.set_defaults({}, "dev") == {}


def test_every_output_has_a_description_and_an_export() -> None:
    outputs = merging.merge()["Outputs"]
    assert {"EndpointURL", "RestAPIId", "APIHandlerName", "APIHandlerArn"} < outputs.keys()  # those of Chalice
    for name, output in outputs.items():
        assert output["Description"]
        assert output["Export"] == {"Name": {"Fn::Sub": f"${{AWS::StackName}}-{name}"}}


def test_the_stage_of_a_packaged_template_is_fixed_and_its_description_says_so() -> None:
    stage = merging.set_defaults(merging.merge(), "prod")["Parameters"]["Stage"]
    assert (stage["Default"], stage["AllowedValues"]) == ("prod", ["prod"])
    assert stage["Description"].startswith("Always prod,")


def test_the_logout_urls_are_the_callback_urls_unless_given() -> None:
    template = stack.read_template()
    urls = template["Resources"]["WebClient"]["Properties"]["LogoutURLs"]
    assert urls == {"Fn::If": ["HasLogoutUrls", {"Fn::Split": [",", {"Ref": "LogoutUrls"}]}, {"Ref": "CallbackUrls"}]}
    assert template["Parameters"]["LogoutUrls"]["Default"] == ""


def test_a_pool_has_no_factor_without_mfa_and_no_sender_without_an_identity() -> None:
    """Cognito rejects a factor together with OFF."""
    template = stack.read_template()
    pool = template["Resources"]["UserPool"]["Properties"]
    nothing = {"Ref": "AWS::NoValue"}
    assert pool["EnabledMfas"] == {"Fn::If": ["HasMfa", ["SOFTWARE_TOKEN_MFA"], nothing]}
    assert template["Conditions"]["HasMfa"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "MfaConfiguration"}, "OFF"]}]}
    assert pool["EmailConfiguration"]["Fn::If"][::2] == ["HasEmail", nothing]
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    assert (defaults["MfaConfiguration"], defaults["EmailIdentityArn"]) == ("OPTIONAL", "")


def test_a_stack_without_all_outputs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    half = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}}, "Outputs": {"TableName": {"Value": "task-api-dev"}}}
    boto3.client("cloudformation").create_stack(StackName="task-api-dev", TemplateBody=json.dumps(half))
    with pytest.raises(CommandError, match="is CREATE_COMPLETE and lacks outputs"):
        stack.require_settings("dev")


def test_a_setting_that_is_equal_in_all_stages_is_written_once() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    for name in config["stages"]["dev"]["environment_variables"]:
        assert len({stage["environment_variables"][name] for stage in config["stages"].values()}) > 1, name


def test_table_and_users_are_retained_after_their_stack() -> None:
    for name in ("Table", "UserPool"):
        resource = template()["Resources"][name]
        # Not plain Retain: a first deployment that fails would leave a table whose name the second one cannot take.
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_web_client_allows_neither_plain_passwords_nor_a_secret() -> None:
    client = template()["Resources"]["WebClient"]["Properties"]
    assert client["ExplicitAuthFlows"] == ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["GenerateSecret"] is False
    assert client["PreventUserExistenceErrors"] == "ENABLED"


def test_no_user_signs_in_through_the_client_of_machines_or_learns_who_has_signed_up() -> None:
    resource = template()["Resources"]["MachineClient"]
    client = resource["Properties"]
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    # Without a list, Cognito allows SRP and custom flows (CreateUserPoolClient, ExplicitAuthFlows).
    assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert "ExplicitAuthFlows" in resource["Metadata"]["Reasons"]
    assert client["AllowedOAuthFlows"] == ["client_credentials"]


def test_the_shipped_files_start_alone_and_trust_the_gateway(tmp_path: Path) -> None:
    """Lay out what Chalice packs: app.py, chalicelib and two files of Chalice itself."""
    shutil.copy(ROOT / "app.py", tmp_path)
    shutil.copytree(ROOT / "chalicelib", tmp_path / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "chalice").mkdir()
    for name in ("__init__.py", "app.py"):
        shutil.copy(Path(chalice.app.__file__).parent / name, tmp_path / "chalice")
    script = """
import json, sys
sys.path[:0] = sys.argv[1:]
from app import app
from tests_events import Context, event
claims = json.loads(sys.stdin.read())
response = app(event(claims=claims, multiValueQueryStringParameters={"cursor": ["x"]}), Context())
forged = app(event(claims=None), Context())
print(json.dumps([json.loads(response["body"])["type"], forged["statusCode"], [name for name in sys.modules if name in MODULES]]))
""".replace("MODULES", "('tools', 'chalice.local', 'jwt', 'cryptography', 'moto', 'pytest')")
    shutil.copy(ROOT / "tests" / "support" / "events.py", tmp_path / "tests_events.py")
    packages = Path(str(pytest.__file__)).parent.parent
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(tmp_path), str(packages)],
        input=json.dumps(pool.id_claims()),
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"AWS_LAMBDA_FUNCTION_NAME": "task-api-prod"},
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["urn:problem:invalid-cursor", 401, []]


def template() -> Any:
    return json.loads((ROOT / ".chalice" / "resources.json").read_text())


@pytest.mark.parametrize(("prefix", "is_allowed"), [
    ("tasks", True), ("my-tasks-2", True), ("aws-tasks", False), ("my-cognito", False), ("amazonas", False), ("-tasks", False), ("tasks-", False),
])  # fmt: skip
def test_a_domain_prefix_that_cognito_refuses_is_an_invalid_parameter(prefix: str, is_allowed: bool) -> None:  # noqa: FBT001 - a case
    parameters = json.loads((ROOT / ".chalice" / "resources.json").read_text())["Parameters"]
    assert bool(re.fullmatch(parameters["DomainPrefix"]["AllowedPattern"], prefix)) is is_allowed


def test_cloudformation_takes_the_template_of_the_stack_without_a_bucket() -> None:
    # 51,200 bytes (AWS CloudFormation User Guide, "CloudFormation quotas").
    assert len((stages.ROOT / ".chalice" / "resources.json").read_bytes()) <= 51_200
